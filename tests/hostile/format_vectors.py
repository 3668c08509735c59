"""Export documents with one failure each: the smallest change to a valid one, and the error that it must meet.

Sources: FORMAT.md; what libraries were seen to let through (research/reliability-anchors.md section 3); the failures of
neighbours in its section 2.
"""

from __future__ import annotations

from hostile.format_bombs import BOMBS
from hostile.format_image_vectors import IMAGES, SEALS
from hostile.format_state_vectors import NODES_AND_VMS, TOP_LEVEL
from hostile.format_text_vectors import ENVELOPE, SYNTAX

VECTORS = [*ENVELOPE, *SYNTAX, *TOP_LEVEL, *NODES_AND_VMS, *IMAGES, *SEALS, *BOMBS]
