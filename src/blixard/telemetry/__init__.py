"""Logs and metrics of this node: sampled by `sample`, kept by `store`, shaped by `otlp`, given by `source`.

Telemetry is beside the state: losing it never stops a command, and it never moves a revision.
"""
