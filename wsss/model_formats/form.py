"""What a form of exported networks has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

Pictures = NDArray[np.uint8]
Run = Callable[[Pictures], NDArray[np.float32]]
INPUT, OUTPUT = "images", "probabilities"
EXAMPLE = (2, 70, 90)  # batch, height, width of what a pass is recorded on: nobody's native size


@dataclass(frozen=True)
class Form:
    """A form of exported networks.

    Attributes:
        title: For people.
        suffix: Of the file's name.
        check: Raises ArtefactError where packages that it needs are missing.
        write: Writes a graph of :func:`wsss.model_formats.graphs.build_graph` and its metadata into a file.
        load: Opens such a file as others do, without code of this project: pictures, uint8 (B, H, W, 3), in,
            probabilities, float32 (B, C+1, H, W), out.
    """

    title: str
    suffix: str
    check: Callable[[], None]
    write: Callable[[nn.Module, Path, Mapping[str, str]], None]
    load: Callable[[Path], Run]


def example() -> torch.Tensor:
    """Pictures to record a pass on, uint8 (B, H, W, 3)."""
    return torch.randint(0, 256, (*EXAMPLE, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
