"""Verbs on single VMs: create, edit, attach content, delete."""
