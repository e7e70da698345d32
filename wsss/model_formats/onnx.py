"""ONNX: a graph of standard operators, which many runtimes take."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from wsss.artefacts.files import ArtefactError
from wsss.model_formats.form import INPUT, OUTPUT, Form, Run, example

OPSET = 18  # the first whose Resize smooths as torch does where it shrinks
PACKAGES = ("onnx", "onnxruntime")
AXES = {INPUT: {0: "batch", 1: "height", 2: "width"}, OUTPUT: {0: "batch", 2: "height", 3: "width"}}


def _check() -> None:
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ArtefactError(
            f"--to onnx: expected the packages {' and '.join(PACKAGES)}, found no {' and '.join(missing)}; "
            "install them (the extra `onnx`, which make install has), or take --to torchscript"
        )


def _write(graph: nn.Module, path: Path, metadata: Mapping[str, str]) -> None:
    import onnx

    _write_graph(graph, path)
    model = onnx.load(path)
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _write_graph(graph: nn.Module, path: Path) -> None:
    """Write the graph with batch, height and width free.

    By torch's exporter on traces. The one on torch.export, which torch prefers, takes minutes for networks
    that pad by their input's size in every layer, and fixes the size for vision transformers.
    """
    torch.onnx.register_custom_op_symbolic("aten::_upsample_bicubic2d_aa", _smooth_bicubic, OPSET)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its age, and of checks of arguments that a trace leaves out
        torch.onnx.export(
            graph,
            (example(),),
            path,
            dynamo=False,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes=AXES,
            opset_version=OPSET,
        )


def _smooth_bicubic(graph: Any, maps: Any, size: Any, *_: Any) -> Any:
    """Torch's bicubic interpolation with antialiasing, of position embeddings, which its exporter lacks."""
    from torch.onnx.symbolic_helper import _is_packed_list, _unpack_list

    if _is_packed_list(size):
        first = graph.op("Constant", value_t=torch.tensor([0]))
        sides = [graph.op("Unsqueeze", side, first) for side in _unpack_list(size)]
        size = graph.op("Concat", *sides, axis_i=0)
    none = graph.op("Constant", value_t=torch.tensor([]))
    kind = {"mode_s": "cubic", "cubic_coeff_a_f": -0.5, "antialias_i": 1, "exclude_outside_i": 1}
    return graph.op("Resize", maps, none, none, size, axes_i=[2, 3], **kind)


def _load(path: Path) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda pictures: session.run([OUTPUT], {INPUT: pictures})[0]


ONNX = Form("ONNX", ".onnx", _check, _write, _load)
