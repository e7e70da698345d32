"""The user's file that ``wsss init`` writes: a data set's entry, short enough to be read and edited."""

from __future__ import annotations

import yaml

from wsss.artefacts.files import Values
from wsss.setup.choices import Choice

HEAD = "# By `wsss init`; change what you like. `wsss config {name}` prints all settings that this comes to."


def draft(name: str, source: Values, split: str, choices: list[Choice]) -> str:
    """The text of the file.

    Args:
        name: Name of the data set.
        source: Where its images, labels and masks lie.
        split: How its splits came about; empty where the data say so themselves.
        choices: What was chosen for it.

    Returns:
        YAML of at most ten lines.
    """
    lines = [_line({key: source[key] for key in source if key != "splits"}, "")]
    lines += [_line({"splits": source["splits"]}, split)] if "splits" in source else []
    lines += [_line(one.settings, ", ".join(one.reasons)) for one in choices if one.settings]
    body = "\n".join(f"    {line}" for line in lines)
    return f"{HEAD.format(name=name)}\ndatasets:\n  {name}: {{\n{body}\n  }}\n"


def _line(settings: Values, reason: str) -> str:
    """Settings as they stand within braces, and a comment."""
    text: str = yaml.safe_dump(
        dict(settings), default_flow_style=True, width=10**6, sort_keys=False, allow_unicode=True
    )
    return text.strip()[1:-1] + "," + (f" # {reason}" if reason else "")
