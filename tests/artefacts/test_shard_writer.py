"""Shards that are killed go on with the images that are missing, and end with the undisturbed run's bytes."""

import importlib
import inspect
import itertools
import logging
import os
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.builders import APC, SHARD, STATISTICS, folder_bytes, make_data, write_maps, write_weights
from tests.support.memory import Peak
from tests.support.networks import build_apc, build_classifier, build_irnet, build_segmenter, crf
from tests.support.processes import ended, fork, killed_at
from wsss.artefacts import shard_writer as shards
from wsss.artefacts.formats import Record, read_label_index, read_tensors
from wsss.artefacts.shard_writer import Provenance, again_if_overtaken, label_shard, tensor_shard
from wsss.workflow.fingerprint import module_of

Tensors = dict[str, dict[str, torch.Tensor]]

# ------------------------------------------------------------------------------------ without any network

RECORDS = [Record(name, "", None, 4, 6, (), ()) for name in ("a", "b/c", "d")]
FORMS = ("views", "attention")


def provenance(
    folder: Path, steps: int = 1, stage: str = "walk_cams", input_text: str = "input"
) -> Provenance:
    source = folder / f"{input_text}.txt"
    if not source.exists():  # never while another process reads it
        source.write_text(input_text)
    return Provenance(stage, {"steps": steps}, {"made": steps}, {"input": source})


def some_tensors(units: Sequence[int]) -> Iterator[Tensors]:
    for unit in units:
        yield {form: {f"{unit}/{form}": torch.full((unit + 1,), unit)} for form in FORMS}


def some_labels(records: Sequence[Record]) -> Iterator[np.ndarray]:
    for record in records:
        yield np.full((record.height, record.width), RECORDS.index(record), np.uint8)


@again_if_overtaken
def run_tensors(
    *, out: Path, make: Callable[[Sequence[int]], Iterator[Tensors]] = some_tensors, **how: Any
) -> None:
    outputs = {form: out / form for form in FORMS}
    with tensor_shard(outputs, range(3), provenance(out.parent, **how), "testing") as shard:
        for tensors in make(shard.missing):
            shard.write(tensors)


@again_if_overtaken
def run_labels(
    *, out: Path, make: Callable[[Sequence[Record]], Iterator[np.ndarray]] = some_labels, **how: Any
) -> None:
    how_made = provenance(out.parent, **how)
    with label_shard(out / "labels", out / "labels.jsonl", RECORDS, how_made, "testing") as shard:
        for label in make(shard.missing):
            shard.write(label)


TOYS = [(run_tensors, some_tensors), (run_labels, some_labels)]


def test_the_shard_holds_what_was_made(tmp_path: Path) -> None:
    run_tensors(out=tmp_path / "out")
    for form in FORMS:
        found = read_tensors(tmp_path / "out" / form, form)
        assert {name: tensor.tolist() for name, tensor in found.items()} == {
            f"{unit}/{form}": [unit] * (unit + 1) for unit in range(3)
        }
    run_labels(out=tmp_path / "out")
    assert read_label_index(tmp_path / "out" / "labels.jsonl").ids == ("a", "b/c", "d")
    assert sorted(os.listdir(tmp_path / "out")) == ["attention", "labels", "labels.jsonl", "views"]


def whole_or_absent(found: Mapping[str, bytes], whole: Mapping[str, bytes]) -> bool:
    """Of the artefacts, the label maps of a folder count as one."""
    there = {name for name in whole if name in found}
    maps = {name for name in whole if name.startswith("labels/")}
    return all(found[name] == whole[name] for name in there) and maps & there in (maps, set())


@pytest.mark.parametrize(("run", "make"), TOYS)
def test_killed_anywhere_it_ends_with_the_same_bytes(
    tmp_path: Path, run: Callable[..., None], make: Callable[..., Any]
) -> None:
    run(out=tmp_path / "undisturbed")
    whole = folder_bytes(tmp_path / "undisturbed")
    for step in itertools.count():
        out = tmp_path / str(step)
        if not killed_at(step, partial(run, out=out)):
            break
        assert whole_or_absent(folder_bytes(out), whole)
        run(out=out)
        assert folder_bytes(out) == whole
    assert step > 12


@pytest.mark.parametrize(("run", "make"), TOYS)
def test_only_what_is_missing_is_made(
    tmp_path: Path, run: Callable[..., None], make: Callable[..., Any]
) -> None:
    made: list[int] = []

    def counted(units: Sequence[Any]) -> Iterator[Any]:
        made.append(len(units))
        return make(units)

    def failing(units: Sequence[Any]) -> Iterator[Any]:
        yield from make(units[:2])
        raise KeyError("network")

    with pytest.raises(KeyError):
        run(out=tmp_path / "out", make=failing)
    run(out=tmp_path / "out", make=counted, steps=2)
    assert made == [3]  # other settings: another shard's parts, which its success removes
    with pytest.raises(KeyError):
        run(out=tmp_path / "out", make=failing)
    run(out=tmp_path / "out", make=counted)
    assert made == [3, 1]


@pytest.mark.parametrize(("run", "make"), TOYS)
def test_a_damaged_part_is_made_again(
    tmp_path: Path, run: Callable[..., None], make: Callable[..., Any]
) -> None:
    run(out=tmp_path / "undisturbed")
    assert killed_at(2, lambda: run(out=tmp_path / "out"), "replace")
    parts = [path for path in (tmp_path / "out").rglob("*") if path.suffix in (".png", ".safetensors")]
    assert len(parts) == 2
    for part in parts:
        part.write_bytes(part.read_bytes()[:-3])
    run(out=tmp_path / "out")
    assert folder_bytes(tmp_path / "out") == folder_bytes(tmp_path / "undisturbed")


def test_other_settings_inputs_or_code_take_nothing_over(tmp_path: Path) -> None:
    def failing(units: Sequence[int]) -> Iterator[Tensors]:
        yield from some_tensors(units[:1])
        raise KeyError("network")

    def folders(input_text: str = "input", **how: Any) -> set[str]:
        with pytest.raises(KeyError):
            run_tensors(out=tmp_path / "out", make=failing, input_text=input_text, **how)
        return set(os.listdir(tmp_path / "out"))

    first = folders()
    assert folders() == first and len(first) == 1
    assert len(folders(steps=2)) == 2
    assert len(folders(stage="diffuse_cams")) == 3
    assert len(folders(input_text="other")) == 4


@pytest.mark.parametrize(("run", "make"), TOYS)
def test_overtaken_by_another_process_it_still_succeeds(
    tmp_path: Path, run: Callable[..., None], make: Callable[..., Any]
) -> None:
    """The other one finishes, and removes the parts, between two of this one's images."""
    run(out=tmp_path / "undisturbed")
    overtakes = iter(range(2))

    def slow(units: Sequence[Any]) -> Iterator[Any]:
        for number, result in enumerate(make(units)):
            yield result
            if number == 1 and next(overtakes, None) is not None:
                run(out=tmp_path / "out")

    run(out=tmp_path / "out", make=slow)
    assert next(overtakes, None) is None
    assert folder_bytes(tmp_path / "out") == folder_bytes(tmp_path / "undisturbed")


@pytest.mark.parametrize(("run", "make"), TOYS)
def test_two_processes_that_make_one_shard_both_succeed(
    tmp_path: Path, run: Callable[..., None], make: Callable[..., Any]
) -> None:
    def slow(units: Sequence[Any]) -> Iterator[Any]:
        for result in make(units):
            time.sleep(0.002)
            yield result

    run(out=tmp_path / "undisturbed")
    for _ in range(3):
        children = [fork(lambda: run(out=tmp_path / "out", make=slow)) for _ in range(2)]
        assert [ended(child) for child in children] == [0, 0]
        assert folder_bytes(tmp_path / "out") == folder_bytes(tmp_path / "undisturbed")


def test_a_shard_without_images_is_written(tmp_path: Path) -> None:
    with tensor_shard({"maps": tmp_path / "maps"}, [], provenance(tmp_path), "testing") as shard:
        assert shard.missing == []
    assert read_tensors(tmp_path / "maps", "maps") == {}


def test_a_result_for_each_missing_unit_is_asked_for(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="expected a result for each missing unit, found none for 2"),
        tensor_shard({"maps": tmp_path / "maps"}, range(3), provenance(tmp_path), "testing") as shard,
    ):
        shard.write({"maps": {"0": torch.zeros(1)}})
    assert not (tmp_path / "maps").exists()


def test_one_units_tensors_are_held_at_a_time(tmp_path: Path) -> None:
    with (
        Peak() as peak,
        tensor_shard({"maps": tmp_path / "maps"}, range(6), provenance(tmp_path), "testing") as shard,
    ):
        for unit in shard.missing:
            shard.write({"maps": {str(unit): torch.full((2**18,), unit)}})
    assert (tmp_path / "maps").stat().st_size > 6 * 2**21
    assert peak.bytes <= 2 * 2**21  # the one being written and the next


# ---------------------------------------------------------------------------------------------- the stages

CLASSIFIER = {
    "kind": "conformer",
    "variant": "nano",
    "output_stride": 4,
    "stop_gradient": True,
    "drop_path": 0.0,
    **STATISTICS,
}
BACKBONE = {"model": "resnet18", "arguments": {"channels": [8, 8, 16, 16]}}
VIT = {
    "kind": "timm",
    "model": "vit_tiny_patch16_224",
    "arguments": {"img_size": 48, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2},
    **STATISTICS,
}
IRNET = {"backbone": {**BACKBONE, "output_stride": 16}, "displacement": False, **STATISTICS}
SEGMENTER = {
    "backbone": {**BACKBONE, "output_stride": 8},
    "rates": [1, 2],
    "multi_scale": [0.5],
    "loss": "cross_entropy",
    **STATISTICS,
}
CRF = crf(iterations=1)
PARAMS: dict[str, dict[str, Any]] = {
    "extract_maps": {
        "network": CLASSIFIER,
        "views": {"scales": [1.0, 0.5], "mirror": True, "cached_neighbours": 60, "attention_steps": 1},
    },
    "derive_maps": {
        "network": VIT,
        "views": {"scales": [1.0, 0.5], "mirror": True, "cached_neighbours": 60, "attention_steps": 0},
        "maps": {"kind": "getam", "first_block": 2},
    },
    "extract_patch_maps": {"kind": "apc", "network": APC, "side": 48},
    "diffuse_cams": {"settings": {"kind": "adcam", "neighbours": 20, "steps": 2}},
    "walk_cams": {"network": IRNET, "walk": {"radius": 3, "beta": 10, "log2_steps": 2}},
    "make_irn_labels": {
        "settings": {"foreground": 0.3, "background": 0.05, "gt_prob": 0.7, "crf": CRF},
    },
    "make_pseudo_labels": {"settings": {"threshold": 0.25, "crf": CRF}},
    "predict_masks": {
        "network": SEGMENTER,
        "settings": {"scales": [1.0], "mirror": False, "crf": None},
        "split": "val",
    },
    "predict_single_stage_masks": {
        "kind": "apc",
        "network": APC,
        "settings": {"side": 48, "tags": False, "crf": None, "source": "decoder"},
        "split": "val",
    },
}
INPUTS = {
    "extract_maps": {"weights": "classifier"},
    "derive_maps": {"weights": "vit"},
    "extract_patch_maps": {"weights": "apc"},
    "diffuse_cams": {"cams": "cams", "attention": "attention"},
    "walk_cams": {"maps": "maps", "weights": "irn"},
    "make_irn_labels": {"maps": "maps"},
    "make_pseudo_labels": {"maps": "maps"},
    "predict_masks": {"weights": "segmenter"},
    "predict_single_stage_masks": {"weights": "apc"},
}
OUTPUTS = {
    "extract_maps": ("cams", "attention"),
    "derive_maps": ("cams", "attention"),
    "extract_patch_maps": ("maps",),
    "diffuse_cams": ("maps",),
    "walk_cams": ("walked",),
    "make_irn_labels": ("labels", "index"),
    "make_pseudo_labels": ("labels", "index"),
    "predict_masks": ("labels", "index"),
    "predict_single_stage_masks": ("labels", "index"),
}
STAGES = sorted(PARAMS)


def module(stage: str) -> Any:
    return importlib.import_module(module_of(stage))


def run_stage(stage: str, inputs: Path, out: Path) -> None:
    files = {name: inputs / file for name, file in INPUTS[stage].items()}
    outputs = {name: out / name for name in OUTPUTS[stage]}
    manifest = inputs / "manifest.jsonl"
    module(stage).run(manifest=manifest, **files, **outputs, **PARAMS[stage], shard=SHARD)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What every stage reads."""
    data = make_data(tmp_path_factory.mktemp("inputs"))
    torch.manual_seed(0)
    networks = {
        "classifier": build_classifier(CLASSIFIER, 3),
        "vit": build_classifier(VIT, 3),
        "irn": build_irnet(IRNET),
        "segmenter": build_segmenter(SEGMENTER, 4),
        "apc": build_apc(APC, 3),
    }
    for name, network in networks.items():
        write_weights(data.path(name), network)
    write_maps(data, data.path("maps"))
    run_stage("extract_maps", data.folder, data.folder)
    return data.folder


@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_stage_goes_on_and_ends_with_the_same_bytes(
    tmp_path: Path, inputs: Path, stage: str, caplog: pytest.LogCaptureFixture
) -> None:
    run_stage(stage, inputs, tmp_path / "undisturbed")
    assert killed_at(3, lambda: run_stage(stage, inputs, tmp_path / "out"), "replace")
    assert not any((tmp_path / "out" / name).exists() for name in OUTPUTS[stage])
    with caplog.at_level(logging.INFO):
        run_stage(stage, inputs, tmp_path / "out")
    two_files = {"extract_maps": "1 of 5", "derive_maps": "1 of 4"}  # each part
    done = two_files.get(stage, "3 of 4")
    assert f"{done} parts are there already" in caplog.text
    assert folder_bytes(tmp_path / "out") == folder_bytes(tmp_path / "undisturbed")


class _Reached(Exception):
    """A network was called."""


@pytest.mark.parametrize("stage", [stage for stage in STAGES if "weights" in INPUTS[stage]])
def test_from_run_to_the_network_there_are_five_frames_at_most(
    tmp_path: Path, inputs: Path, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reached(*inputs: object, **named: object) -> None:
        raise _Reached

    monkeypatch.setattr(torch.nn.Module, "__call__", reached)
    with pytest.raises(_Reached) as error:
        run_stage(stage, inputs, tmp_path)
    frames = [frame for frame in traceback.extract_tb(error.tb) if "/wsss/" in frame.filename]
    start = max(number for number, frame in enumerate(frames) if frame.name == "run")
    passed = [frame.name for frame in frames[start:] if "/wsss/models/" not in frame.filename]
    assert 2 <= len(passed) <= 5, passed


class _Seen(Exception):
    """The provenance of a stage that is stopped before it works."""


@pytest.mark.parametrize("stage", STAGES)
def test_everything_that_shapes_a_shard_names_its_work_folder(
    tmp_path: Path, inputs: Path, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(artefact: object, parts: object, units: object, how: Provenance, doing: object) -> None:
        raise _Seen(how)

    monkeypatch.setattr(shards, "_shard", stop)
    with pytest.raises(_Seen) as seen:
        run_stage(stage, inputs, tmp_path)
    how: Provenance = seen.value.args[0]
    files = {"manifest", *INPUTS[stage]}
    optional = {"threshold"}  # a file that stages read where a rule on the whole data set makes it
    assert how.stage == stage
    assert set(how.inputs) == files
    assert set(how.settings) == set(inspect.signature(module(stage).run).parameters) - files - {
        *OUTPUTS[stage],
        *optional,
    }
