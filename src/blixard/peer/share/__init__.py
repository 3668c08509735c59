"""The sending side: who is let in, what is answered, how a share ends."""
