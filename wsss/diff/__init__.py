"""Compare two runs' artefacts, stage by stage: what differs, by how much, and where the two part."""

from wsss.diff.comparison import Comparison, compare

__all__ = ["Comparison", "compare"]
