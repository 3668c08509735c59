"""Verbs on clusters and nodes as a whole: made, listed, renamed, compared, looked at."""
