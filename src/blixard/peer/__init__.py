"""Sharing an export with other nodes: tickets, the protocol `blixard/export/1`, and the ways that carry it.

Everything but the endpoint adapter is blocking code in threads over three small ports (`ports.py`), so that one
protocol and one conformance suite serve Iroh, the direct lane and an in-process loopback.
"""
