"""Verbs on a file without a cluster: verify, inspect, extract, fmt."""
