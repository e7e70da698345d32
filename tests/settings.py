"""The project's configuration, with what its variants extend."""

from pathlib import Path
from typing import Any

import yaml

from wsss.inheritance import inherited

CONFIG: dict[str, Any] = inherited(yaml.safe_load((Path(__file__).parents[1] / "config.yaml").read_text()))
