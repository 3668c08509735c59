"""Disks that an import brings in: written beside the old ones, resumable, made durable before the commit."""
