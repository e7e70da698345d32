"""VOC 2012: its lists, its labels, train_aug."""

from pathlib import Path

import pytest

from tests.support.datasets import mask, real, voc_set
from wsss.config.datasets import VocData
from wsss.data import voc
from wsss.data.records import Listing, read_ids
from wsss.data.voc import VOC_CLASSES, read_annotation, train_aug

LISTS = {"train": ["t1", "t2"], "val": ["v1"], "test": ["x1"]}
OBJECTS = {"t1": ["person", "dog"], "t2": ["tvmonitor"], "v1": ["cat"], "s1": ["cat", "cat"]}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    voc_set(tmp_path / "VOC2012", LISTS, OBJECTS)
    return tmp_path / "VOC2012"


def list_voc(root: Path, sbd: str | None = None, labels: str | None = None) -> Listing:
    return voc.list_voc(VocData(kind="voc", root=str(root), sbd=sbd, labels=labels))


def splits(listing: Listing) -> dict[str, tuple[str, ...]]:
    return {entry.id: entry.splits for entry in listing.entries}


def sbd(root: Path, folder: str = "SBD") -> str:
    (root / folder).mkdir(parents=True)
    (root / folder / "train.txt").write_text("t1\ns1\n")
    (root / folder / "val.txt").write_text("v1\n")
    return str(root / folder)


def test_labels_from_annotations(root: Path) -> None:
    listing = list_voc(root, sbd=sbd(root))
    labels = {entry.id: [listing.classes[index] for index in entry.classes] for entry in listing.entries}
    assert labels == {"s1": ["cat"], "t1": ["dog", "person"], "t2": ["tvmonitor"], "v1": ["cat"], "x1": []}
    assert listing.findings == ()


def test_train_aug_from_the_lists_of_sbd(root: Path) -> None:
    masked = ("train", "masked")
    expected = {"s1": ("train",), "t1": masked, "t2": masked, "v1": ("val",), "x1": ("test",)}
    assert splits(list_voc(root, sbd=sbd(root))) == expected
    sbd(root, "benchmark/dataset")
    assert splits(list_voc(root, sbd=str(root / "benchmark"))) == expected


def test_train_aug_from_the_masks_of_others(root: Path) -> None:
    for name in ("t1", "v1", "s1"):
        mask(root / "SegmentationClassAug" / f"{name}.png")
    listing = list_voc(root)
    assert splits(listing)["s1"] == ("train",)
    assert splits(listing)["v1"] == ("val",)
    masks = {entry.id: entry.mask for entry in listing.entries}
    assert masks["s1"] is None
    assert masks["t1"] == root / "SegmentationClass" / "t1.png"


def test_without_either_the_log_warns(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert set(splits(list_voc(root))) == {"t1", "t2", "v1", "x1"}
    assert "training on VOC's train only" in caplog.text


def test_labels_from_a_table(root: Path) -> None:
    (root / "labels.csv").write_text("id,class\nt1,dog\nt2,19\n")
    listing = list_voc(root, labels=str(root / "labels.csv"))
    assert [entry.classes for entry in listing.entries[:2]] == [(11,), (19,)]
    assert listing.findings == ()


def test_training_images_without_labels(root: Path) -> None:
    (root / "Annotations" / "t2.xml").unlink()
    (finding,) = list_voc(root).findings
    assert finding.kind == "id without labels"
    assert "'t2'" in finding.detail


def test_annotations_that_cannot_be_read(root: Path) -> None:
    (root / "Annotations" / "t1.xml").write_text("<annotation><object>")
    (root / "Annotations" / "t2.xml").write_text(
        "<annotation><object><name>wolf</name><part><name>head</name></part></object></annotation>"
    )
    bad, unknown = list_voc(root).findings
    assert (bad.kind, unknown.kind) == ("bad annotations", "unknown class")
    assert "t1.xml" in bad.detail
    assert "t2.xml: 'wolf'" in unknown.detail


def test_parts_of_objects_are_no_objects(tmp_path: Path) -> None:
    text = "<annotation><object><name>dog</name><part><name>head</name></part></object></annotation>"
    (tmp_path / "a.xml").write_text(text)
    assert read_annotation(tmp_path / "a.xml") == ((VOC_CLASSES.index("dog"),), [])


def test_an_id_in_train_and_val(tmp_path: Path) -> None:
    voc_set(tmp_path, {"train": ["a", "b"], "val": ["b"]}, {"a": ["cat"], "b": ["dog"]})
    (finding,) = list_voc(tmp_path).findings
    assert finding.kind == "duplicate id"
    assert "'b'" in finding.detail


def test_half_a_data_set(root: Path) -> None:
    (root / "Annotations" / "t1.xml").unlink()
    (root / "ImageSets" / "Segmentation" / "val.txt").unlink()
    findings = list_voc(root, sbd=str(root / "nowhere")).findings
    assert [(found.kind, Path(found.detail.partition(":")[0]).name) for found in findings] == [
        ("missing file", "val.txt"),
        ("missing file", "train.txt"),
        ("missing file", "val.txt"),
    ]
    assert "host.robots.ox.ac.uk" in findings[0].detail


def test_train_aug_has_the_published_ids() -> None:
    lists = {name: read_ids(real("voc12_meta") / f"{name}.txt") for name in ("train", "val", "train_aug")}
    test = read_ids(real("voc12_meta") / "test.txt")
    assert [len(ids) for ids in (*lists.values(), test)] == [1464, 1449, 10582, 1456]
    # SBD's own lists hold part of VOC's train and val too, which must not matter.
    more = [name for name in lists["train_aug"] if name not in set(lists["train"])]
    found = train_aug(lists["train"], lists["val"], [*more, *lists["train"][::3], *lists["val"][::2]])
    assert found == sorted(lists["train_aug"])
