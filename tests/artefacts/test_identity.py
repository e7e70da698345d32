"""The job that an artefact names: in every header, in no digest of an input."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from wsss.artefacts.files import ArtefactError, digest
from wsss.artefacts.formats import (
    Manifest,
    Record,
    read_json,
    read_manifest,
    read_tensors,
    write_json,
    write_labels,
    write_manifest,
    write_tensors,
)
from wsss.artefacts.identity import Identity, content_digest, digests, identity_of, making, read_identity

JOB = Identity(
    "train_irn", {"run": "0", "classifier": "a"}, {"training": {"lr": 0.1}, "names": ["ä"]}, "c0de"
)
MANIFEST = Manifest("toy", ("cät",), (Record("x", "x.png", None, 1, 2, (0,), ("train",)),))
LABELS = [("x", np.ones((1, 2), np.uint8))]


def _tensors(path: Path) -> None:
    tensors = {"x/maps": torch.arange(6.0).half(), "x/classes": torch.tensor([4])}
    write_tensors(path, "maps", tensors, {"steps": 2})


WRITERS: dict[str, Callable[[Path], None]] = {
    "maps.safetensors": _tensors,
    "manifest.jsonl": lambda path: write_manifest(path, MANIFEST),
    "labels.jsonl": lambda path: write_labels(path.with_suffix(""), path, LABELS),
    "scores.json": lambda path: write_json(path, {"miou": 0.5, "nested": {"é": [1, 2]}}),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_header_names_the_job_at_work(tmp_path: Path, name: str) -> None:
    write, path = WRITERS[name], tmp_path / name
    with making(JOB):
        write(path)
    assert read_identity(path) == JOB
    assert identity_of(path).chain == "a"
    write(path)
    assert read_identity(path) is None
    with pytest.raises(ArtefactError, match=f"{name}: expected the rule and wildcards"):
        identity_of(path)


@pytest.mark.parametrize("name", WRITERS)
def test_a_content_s_digest_is_that_of_the_file_without_the_job(tmp_path: Path, name: str) -> None:
    write, path = WRITERS[name], tmp_path / name
    write(path)
    expected = digest(path)
    assert content_digest(path) == expected
    for job in (JOB, replace(JOB, code="0ther")):
        with making(job):
            write(path)
        assert digest(path) != expected
        assert content_digest(path) == expected


def test_other_contents_have_other_digests(tmp_path: Path) -> None:
    with making(JOB):
        write_json(tmp_path / "a.json", {"miou": 0.5})
        write_json(tmp_path / "b.json", {"miou": 0.6})
    assert len({*digests({"both": [tmp_path / "a.json", tmp_path / "b.json"]})["both"]}) == 2


@pytest.mark.parametrize("name", [*WRITERS, "table.csv", "none.safetensors"])
def test_what_has_no_whole_header_is_digested_as_it_is(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name in WRITERS:
        with making(JOB):
            WRITERS[name](path)
        path.write_bytes(path.read_bytes()[:20])
    else:
        path.write_bytes(b"")
    assert content_digest(path) == digest(path)
    assert read_identity(path) is None


def test_a_job_ends_with_its_block(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), making(JOB):
        raise RuntimeError
    write_json(tmp_path / "a.json", {"miou": 0.5})
    assert read_json(tmp_path / "a.json") == {"miou": 0.5}


def test_readers_do_not_mind(tmp_path: Path) -> None:
    with making(JOB):
        _tensors(tmp_path / "maps.safetensors")
        write_manifest(tmp_path / "manifest.jsonl", MANIFEST)
    assert read_tensors(tmp_path / "maps.safetensors", "maps")["x/classes"].tolist() == [4]
    assert read_manifest(tmp_path / "manifest.jsonl") == MANIFEST


def test_a_chain_is_in_the_order_of_the_paths() -> None:
    wildcards = {"inference": "crf", "labeller": "a/b/c", "segmenter": "d", "split": "val", "run": "3"}
    assert Identity("predict_masks", wildcards).chain == "a/b/c/d/val/crf"
    assert Identity("predict_masks", wildcards).run == "3"
    assert (Identity("compare", {"dataset": "voc"}).chain, Identity("compare").run) == ("", None)
