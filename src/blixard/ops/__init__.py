"""The verbs: one a file, frozen options in, a frozen report out. They take ports and print nothing."""
