"""Exported networks, opened by the runtimes alone, beside the predictor that they are of."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image

from tests.support.builders import CLASSES, STATISTICS, Data, make_data
from tests.support.predictors import KINDS, make_predictor
from wsss import load_predictor
from wsss.artefacts.files import ArtefactError
from wsss.artefacts.formats import read_json
from wsss.model_formats.checking import Difference
from wsss.model_formats.form import Pictures
from wsss.model_formats.graphs import build_graph
from wsss.model_formats.registry import FORMS
from wsss.model_formats.writing import LONG_SIDE, export_model, one_pass

SHAPES = [(1, 70, 90), (4, 70, 90), (1, 33, 47), (2, 128, 64), (1, 5, 3), (1, 140, 211)]
BACKBONES: dict[str, dict[str, Any]] = {
    "pads by the input's size": {"model": "tf_efficientnet_lite0", "output_stride": 16},
    "Caffe's layout": {"model": "resnet50", "output_stride": 8, "caffe_style": True},
    "position embedding": {"model": "vit_tiny_patch16_224", "arguments": {"embed_dim": 48, "depth": 2}},
}
Run = Callable[[Pictures], np.ndarray]


def by_onnx(path: Path) -> Run:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda images: session.run(["probabilities"], {"images": images})[0]


def by_torch(path: Path) -> Run:
    module = torch.jit.load(path)
    return lambda images: module(torch.from_numpy(images)).numpy()


READERS = {"onnx": by_onnx, "torchscript": by_torch}


@pytest.fixture
def data(tmp_path: Path) -> Data:
    return make_data(tmp_path)


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def exported(folder: Path, form: str) -> Path:
    out = folder / f"model{FORMS[form].suffix}"
    export_model(folder, out, FORMS[form])
    return out


def batches(shapes: list[tuple[int, int, int]] = SHAPES) -> list[Pictures]:
    rng = np.random.default_rng(7)
    return [rng.integers(0, 256, (*shape, 3), np.uint8) for shape in shapes]


def assert_same(folder: Path, run: Run, kind: str, shapes: list[tuple[int, int, int]] = SHAPES) -> None:
    predictor = load_predictor(folder, inference=one_pass(kind))
    for images in batches(shapes):
        found = run(images)
        assert found.dtype == np.float32
        for planes, picture in zip(found, images, strict=True):
            expected = predictor(picture)
            assert expected.probabilities is not None
            assert np.abs(planes - expected.probabilities).max() < 5e-5
            assert (planes.argmax(0) == expected.labels).mean() > 0.999


@pytest.mark.parametrize("kind", KINDS)
def test_any_batch_and_size_is_labelled_as_by_the_predictor(data: Data, kind: str, form: str) -> None:
    folder = make_predictor(data, kind)
    run = READERS[form](exported(folder, form))
    assert_same(folder, run, kind)
    whole = run(batches([(3, 50, 70)])[0])
    assert np.allclose(whole.sum(1), 1, atol=1e-5) and len(np.unique(whole.argmax(1))) > 1


@pytest.mark.parametrize("source", ["decoder", "patches"])
def test_both_scores_of_apc_at_a_side_that_is_not_its_own(data: Data, source: str, form: str) -> None:
    inference = {"side": 64, "source": source, "tags": False, "crf": None}
    folder = make_predictor(data, "apc", inference=inference)
    assert_same(folder, READERS[form](exported(folder, form)), "apc", [(2, 40, 52), (1, 150, 80)])


def test_vit_pcm_at_a_side_that_is_not_its_own(data: Data, form: str) -> None:
    folder = make_predictor(data, "vit_pcm")
    assert_same(folder, READERS[form](exported(folder, form)), "vit_pcm", [(2, 40, 52)])


@pytest.mark.parametrize("source", ["decoder", "maps"])
def test_toco_at_a_side_that_is_not_its_own(data: Data, source: str, form: str) -> None:
    inference = {"side": 48, "source": source, "tags": False, "crf": None}
    folder = make_predictor(data, "toco", inference=inference)
    assert_same(folder, READERS[form](exported(folder, form)), "toco", [(2, 40, 52)])


@pytest.mark.parametrize("backbone", BACKBONES)
def test_other_backbones(data: Data, backbone: str, form: str) -> None:
    heads = {"rates": [2, 4], "multi_scale": [], "norm": "by_backbone"}
    network = {"backbone": BACKBONES[backbone], **heads, **STATISTICS}
    folder = make_predictor(data, "segmenter", network=network)
    run = READERS[form](exported(folder, form))
    assert_same(folder, run, "segmenter", [(2, 70, 90), (1, 65, 130), (1, 31, 17)])


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_says_what_people_need(data: Data, kind: str, form: str) -> None:
    folder = make_predictor(data, kind)
    path = exported(folder, form)
    description = read_json(folder / "predictor.json")
    if form == "onnx":
        found = onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map
    else:
        found = {name: "" for name in ("kind", "classes", "colours", "mean", "supervision", "weights_sha256")}
        torch.jit.load(path, _extra_files=found)
        found = {name: value.decode() for name, value in found.items()}  # type: ignore[attr-defined]
    assert found["kind"] == kind
    assert json.loads(found["classes"]) == ["background", *CLASSES]
    assert json.loads(found["colours"]) == [entry["colour"] for entry in description["labels"]]
    assert json.loads(found["mean"]) == STATISTICS["mean"]
    assert found["supervision"] == description["training"]["supervision"]
    assert len(found["weights_sha256"]) == 64


def test_onnx_names_its_free_sides_and_no_file_of_this_machine(data: Data) -> None:
    path = exported(make_predictor(data, "segmenter"), "onnx")
    graph = onnx.load(path).graph
    assert [side.dim_param for side in graph.input[0].type.tensor_type.shape.dim][:3] == [
        "batch",
        "height",
        "width",
    ]
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert b".py" not in path.read_bytes()


def test_the_same_bytes_again(data: Data) -> None:
    folder = make_predictor(data, "segmenter")
    first = exported(folder, "onnx").read_bytes()
    export_model(folder, folder / "model.onnx", FORMS["onnx"], overwrite=True)
    assert (folder / "model.onnx").read_bytes() == first


def test_a_trace_keeps_no_device(data: Data) -> None:
    """A device among the constants would tie the file to the CPU."""
    inference = {"side": 48, "source": "patches", "tags": False, "crf": None}
    module = torch.jit.load(exported(make_predictor(data, "apc", inference=inference), "torchscript"))
    assert "Device = prim::Constant" not in str(module.inlined_graph)  # type: ignore[operator]


def test_given_pictures_are_compared_too_and_large_ones_made_smaller(data: Data, form: str) -> None:
    folder = make_predictor(data, "segmenter")
    large = data.path("large.png")
    Image.fromarray(batches([(1, 20, LONG_SIDE + 100)])[0][0]).save(large)
    chosen = FORMS[form]
    found = export_model(
        folder, folder / f"m{chosen.suffix}", chosen, pictures=[data.records[0].image, large]
    )
    assert found.random.pictures == 7 and found.random.largest < 1e-4
    assert found.given is not None and found.given.pictures == 2
    assert found.given.pixels == 40 * 52 + round(20 * LONG_SIDE / (LONG_SIDE + 100)) * LONG_SIDE


@pytest.mark.parametrize("spoil", ["values", "size", "nan"])
def test_a_file_that_differs_is_not_written(data: Data, form: str, spoil: str) -> None:
    folder = make_predictor(data, "segmenter")
    chosen = FORMS[form]

    def load(path: Path) -> Run:
        run = chosen.load(path)
        change = {"values": lambda p: p + 2e-4, "size": lambda p: p[..., :-1], "nan": lambda p: p * np.nan}
        return lambda images: change[spoil](run(images))

    out = folder / f"model{chosen.suffix}"
    before = set(folder.iterdir())
    with pytest.raises(ArtefactError, match="not written, for it differs from the predictor"):
        export_model(folder, out, replace(chosen, load=load))
    assert set(folder.iterdir()) == before


def test_what_a_runtime_raises_is_one_line(data: Data, form: str) -> None:
    folder = make_predictor(data, "segmenter")
    chosen = FORMS[form]

    def load(path: Path) -> Run:
        def run(images: Pictures) -> np.ndarray:
            raise RuntimeError("no such size\nat frame 1")

        return run

    out = folder / f"model{chosen.suffix}"
    with pytest.raises(
        ArtefactError, match=rf"cannot be {chosen.title} \(RuntimeError: no such size\); take"
    ):
        export_model(folder, out, replace(chosen, load=load))
    assert not out.exists()


def test_a_difference_reads_well() -> None:
    assert str(Difference(3, 2e-6, 2000, 1)) == (
        "of 3 pictures probabilities differ by at most 2.0e-06, labels in 1 of 2000 pixels (0.0500%)"
    )


def test_a_network_of_other_classes_is_refused(data: Data) -> None:
    folder = make_predictor(data, "segmenter")
    description = read_json(folder / "predictor.json")
    description["labels"].pop()
    with pytest.raises(ArtefactError, match="expected a network for the classes"):
        build_graph(folder, description)
