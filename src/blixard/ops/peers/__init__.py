"""Verbs between nodes: share a file by ticket, fetch it, import from a sender."""
