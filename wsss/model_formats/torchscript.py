"""TorchScript: a traced pass that torch runs in Python and C++."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from wsss.model_formats.form import Form, Pictures, Run, example


def _write(graph: nn.Module, path: Path, metadata: Mapping[str, str]) -> None:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of its age, and of checks of arguments that a trace leaves out
        traced = torch.jit.trace(graph, example(), check_trace=False)
        content = io.BytesIO()  # into a file, torch would write the file's passing name
        torch.jit.save(traced, content, _extra_files=dict(metadata))
    path.write_bytes(content.getvalue())


def _load(path: Path) -> Run:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module = torch.jit.load(str(path), map_location="cpu")
    return partial(_run, module)


def _run(module: torch.jit.ScriptModule, pictures: Pictures) -> NDArray[np.float32]:
    with torch.inference_mode():
        found: NDArray[np.float32] = module(torch.tensor(pictures)).numpy()
    return found


TORCHSCRIPT = Form("TorchScript", ".pt", lambda: None, _write, _load)
