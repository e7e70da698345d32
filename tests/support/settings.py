"""The project's configuration as the rules see it, and what the models say of others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from wsss.config.configuration import Configuration
from wsss.config.errors import explain
from wsss.config.reading import read_mapping, resolved

ROOT = Path(__file__).parents[2]
CONFIG: dict[str, Any] = resolved(read_mapping(ROOT / "config.yaml"))


def valid(config: dict[str, Any]) -> bool:
    """Whether the models take a configuration."""
    try:
        Configuration.model_validate(config)
    except ValidationError:
        return False
    return True


def refusal(config: dict[str, Any]) -> str:
    """What is said of a configuration that the models do not take."""
    with pytest.raises(ValidationError) as caught:
        Configuration.model_validate(config)
    return explain(caught.value, config)
