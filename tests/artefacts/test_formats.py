"""Every artefact: round trip, same bytes when rewritten, other versions and damaged files refused by name."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from wsss.artefacts import formats as artefacts
from wsss.artefacts.formats import ArtefactError, Manifest, Record

RECORDS = (
    Record("a/ü 1", "images/a/ü 1.jpg", "masks/a.png", 4, 6, (0, 2), ("train", "masked")),
    Record("b", "images/b.png", None, 5, 5, (), ("train",)),
    Record("c", "images/c.png", None, 5, 7, (1,), ("val",)),
)
MANIFEST = Manifest("toy", ("cat", "dog", "sheep"), RECORDS)


def test_manifest_round_trip_and_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        artefacts.write_manifest(tmp_path / name, MANIFEST)
    assert artefacts.read_manifest(tmp_path / "one") == MANIFEST
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\u0085", "\x1c"])
def test_only_a_newline_ends_a_line(tmp_path: Path, separator: str) -> None:
    record = dataclasses.replace(RECORDS[0], id=f"foto{separator}eins", image=f"foto{separator}eins.jpg")
    manifest = Manifest("toy", ("cat", "dog", "sheep"), (record, RECORDS[1]))
    artefacts.write_manifest(tmp_path / "m", manifest)
    assert artefacts.read_manifest(tmp_path / "m") == manifest


def test_shards_partition_a_split() -> None:
    parts = [MANIFEST.shard("train", f"{i:03d}of002") for i in range(2)]
    assert [[record.id for record in part] for part in parts] == [["a/ü 1"], ["b"]]
    with pytest.raises(ArtefactError, match="002of048"):
        MANIFEST.shard("train", "2of2")


def test_manifest_refuses_repeated_ids(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="1 ids occur twice"):
        artefacts.write_manifest(tmp_path / "m", Manifest("toy", ("cat",), (RECORDS[1], RECORDS[1])))


def test_cut_manifest_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    artefacts.write_manifest(path, MANIFEST)
    text = path.read_text()
    path.write_text("\n".join(text.splitlines()[:-1]) + "\n")
    with pytest.raises(ArtefactError, match=r"manifest\.jsonl: expected 3 records, found 2"):
        artefacts.read_manifest(path)
    path.write_text(text[: len(text) // 2])
    with pytest.raises(ArtefactError, match=r"manifest\.jsonl: not a readable manifest"):
        artefacts.read_manifest(path)


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    source = tmp_path / "input.txt"
    source.write_text("abc")
    tensors = {"x/y/maps": torch.arange(6.0).half().view(1, 2, 3), "x/y/classes": torch.tensor([4])}
    for name in ("shard", "again"):
        artefacts.write_tensors(
            tmp_path / name, "maps", tensors, {"steps": 2}, {"source": source, "all": [source]}
        )
    return tmp_path / "shard"


def test_tensor_round_trip_and_bytes(shard: Path) -> None:
    with artefacts.open_tensors(shard, "maps") as opened:
        assert opened.keys() == ["x/y/classes", "x/y/maps"]
        assert opened.params == {"steps": 2}
        assert opened.inputs["source"] == opened.inputs["all"][0]
        assert opened.inputs["source"].startswith("ba7816bf")  # SHA-256 of "abc" (FIPS 180-2)
        torch.testing.assert_close(opened.get("x/y/maps"), torch.arange(6.0).half().view(1, 2, 3))
        with pytest.raises(ArtefactError, match="no tensor 'z/maps'"):
            opened.get("z/maps")
    assert shard.read_bytes() == shard.with_name("again").read_bytes()
    assert sorted(artefacts.read_tensors(shard, "maps")) == ["x/y/classes", "x/y/maps"]


def test_shards_are_readable_like_other_files(shard: Path) -> None:
    assert shard.stat().st_mode == shard.with_name("input.txt").stat().st_mode


def test_other_forms_and_versions_are_refused(shard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArtefactError, match="expected form 'counts' version 1, found form 'maps'"):
        artefacts.read_tensors(shard, "counts")
    monkeypatch.setitem(artefacts.VERSIONS, "maps", 2)
    with pytest.raises(ArtefactError, match="expected form 'maps' version 2, found form 'maps' version 1"):
        artefacts.read_tensors(shard, "maps")


def test_shard_cut_in_half_is_refused_by_name(shard: Path) -> None:
    data = shard.read_bytes()
    shard.write_bytes(data[: len(data) // 2])
    with pytest.raises(ArtefactError, match=r"shard: not a whole safetensors file"):
        artefacts.read_tensors(shard, "maps")


def test_missing_files_are_named(tmp_path: Path) -> None:
    for read in (artefacts.read_manifest, artefacts.read_json, artefacts.read_table, artefacts.read_mask):
        with pytest.raises(ArtefactError, match="absent: no such file"):
            read(tmp_path / "absent")
    with pytest.raises(ArtefactError, match="absent: no such file"):
        artefacts.read_tensors(tmp_path / "absent", "maps")


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    label = np.array([[0, 3, 255], [1, 1, 20]], dtype=np.uint8)
    for name in ("labels", "again"):
        artefacts.write_labels(
            tmp_path / name, tmp_path / f"{name}.jsonl", [("a/b", label), ("c", label)], {"t": 1}
        )
    return tmp_path / "labels"


def test_label_round_trip_and_bytes(labels: Path) -> None:
    index = artefacts.read_label_index(f"{labels}.jsonl")
    assert (index.ids, index.params) == (("a/b", "c"), {"t": 1})
    assert index.labels == dict.fromkeys(index.ids, (0, 1, 3, 20, 255))
    assert artefacts.read_label(labels, "a/b", (2, 3)).tolist() == [[0, 3, 255], [1, 1, 20]]
    for name in ("a/b.png", "c.png"):
        assert (labels / name).read_bytes() == (labels.with_name("again") / name).read_bytes()
    with Image.open(labels / "c.png") as image:
        assert image.convert("RGB").getpixel((1, 0)) == (128, 128, 0)  # VOC's colour of class 3


def test_damaged_labels_are_refused_by_name(labels: Path) -> None:
    with pytest.raises(ArtefactError, match=r"c\.png: expected 4x4 pixels, found 3x2"):
        artefacts.read_label(labels, "c", (4, 4))
    data = (labels / "c.png").read_bytes()
    (labels / "c.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(ArtefactError, match=r"c\.png: not a whole image"):
        artefacts.read_label(labels, "c", (2, 3))
    Image.new("RGB", (3, 2)).save(labels / "c.png")
    with pytest.raises(ArtefactError, match=r"c\.png: expected a palette or 8-bit grey"):
        artefacts.read_label(labels, "c", (2, 3))


@pytest.mark.parametrize("name", ["../out", "/etc/x", "a/../../b", ""])
def test_ids_cannot_leave_their_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArtefactError, match="expected a relative name"):
        artefacts.label_path(tmp_path, name)


def test_an_index_that_repeats_an_image_is_refused(tmp_path: Path) -> None:
    label = np.zeros((2, 3), np.uint8)
    artefacts.write_labels(tmp_path / "labels", tmp_path / "index", [("a", label), ("a", label)])
    with pytest.raises(ArtefactError, match=r"index: expected each image once, found 1 repeated"):
        artefacts.read_label_index(tmp_path / "index")


def test_failed_writes_leave_nothing(tmp_path: Path) -> None:
    def broken() -> object:
        yield "a", np.zeros((2, 2), np.uint8)
        raise KeyError("stop")

    with pytest.raises(KeyError):
        artefacts.write_labels(tmp_path / "labels", tmp_path / "labels.jsonl", broken())  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a device that is always full")
def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    full = pytest.raises(ArtefactError, match=r"out: cannot be written \(No space left on device\)")
    with full, artefacts.atomic_file(tmp_path / "out") as temporary:
        temporary.symlink_to("/dev/full")
        temporary.write_text("x" * 100_000)
    assert list(tmp_path.iterdir()) == []


def test_images_are_rgb_and_checked_against_the_manifest(tmp_path: Path) -> None:
    path = tmp_path / "grey.png"
    Image.new("L", (6, 4), 7).save(path)
    record = Record("grey", str(path), None, 4, 6, (), ())
    assert artefacts.read_image(record).tolist() == np.full((4, 6, 3), 7).tolist()
    with pytest.raises(ArtefactError, match="expected 5x4 pixels as in the manifest, found 6x4"):
        artefacts.read_image(Record("grey", str(path), None, 4, 5, (), ()))
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ArtefactError, match=r"grey\.png: not a whole image"):
        artefacts.read_image(path)


def test_json_is_strict_and_tables_round_trip(tmp_path: Path) -> None:
    artefacts.write_json(tmp_path / "r.json", {"b": 1.5, "a": None})
    assert (tmp_path / "r.json").read_text() == '{\n  "a": null,\n  "b": 1.5\n}\n'
    assert artefacts.read_json(tmp_path / "r.json") == {"a": None, "b": 1.5}
    with pytest.raises(ValueError, match="Out of range float"):
        artefacts.write_json(tmp_path / "nan.json", {"x": float("nan")})
    table = pd.DataFrame({"threshold": [0.1, 0.2], "miou": [0.5, 1 / 3]})
    artefacts.write_table(tmp_path / "t.csv", table)
    pd.testing.assert_frame_equal(artefacts.read_table(tmp_path / "t.csv"), table, rtol=1e-9)
