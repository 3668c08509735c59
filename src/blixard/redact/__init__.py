"""Secrets out of a document and back into it, by a published list.

`patterns` is the list, `masking` walks JSON with it. Pure: no file, no model; the same walk serves exports, telemetry
and `inspect --secrets`.
"""

from blixard.redact.masking import MASK, Finding, Redaction, find_secrets, mask, parse_paths, rejoin
from blixard.redact.patterns import RULES, Rule

__all__ = ["MASK", "RULES", "Finding", "Redaction", "Rule", "find_secrets", "mask", "parse_paths", "rejoin"]
