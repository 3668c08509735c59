"""Bytes between peers: frames, messages, tickets, addresses; no socket."""
