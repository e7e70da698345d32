"""COCO's JSON, read by pycocotools."""

import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from tests.support import label_sources
from tests.support.label_sources import NAMES, TINY, scenes
from wsss.artefacts.files import ArtefactError
from wsss.label_formats import coco
from wsss.label_formats.form import Job
from wsss.label_formats.source import open_source
from wsss.label_formats.writing import export_labels


def export(folder: Path, labels: dict[str, np.ndarray]) -> Path:
    source = open_source(label_sources.run(folder, labels))
    export_labels(Job(source, folder / "labels.json"), coco.COCO)
    return folder / "labels.json"


def test_annotations_of_a_label_map_worked_by_hand(tmp_path: Path) -> None:
    document = json.loads(export(tmp_path, {"tiny": TINY}).read_text())
    size = [4, 5]
    common = {"image_id": 1}
    assert document["images"] == [{"id": 1, "file_name": "tiny.jpg", "height": 4, "width": 5}]
    assert document["annotations"] == [
        {
            **common,
            "id": 1,
            "category_id": 1,
            "iscrowd": 0,
            "area": 8,
            "bbox": [1, 0, 3, 3],
            "segmentation": {"size": size, "counts": "431N00024"},  # down the columns 4 3 1 1 1 1 1 3 5
        },
        {
            **common,
            "id": 2,
            "category_id": 2,
            "iscrowd": 0,
            "area": 2,
            "bbox": [4, 1, 1, 2],
            "segmentation": {"size": size, "counts": "a021"},  # 17 2 1
        },
        {
            **common,
            "id": 3,
            "category_id": 255,
            "iscrowd": 1,
            "area": 1,
            "bbox": [4, 3, 1, 1],
            "segmentation": {"size": size, "counts": "c01"},  # 19 1
        },
    ]
    assert [(one["id"], one["name"]) for one in document["categories"]] == [
        *enumerate(NAMES, start=1),
        (255, "void"),
    ]
    assert document["info"]["void"] == coco.COCO.void and "iscrowd" in coco.COCO.void
    assert document["info"]["image_folder"] == "pictures"


def test_pycocotools_reads_the_label_maps_back(tmp_path: Path) -> None:
    labels = scenes()
    data = COCO(str(export(tmp_path, labels)))
    assert len(data.imgs) == len(labels)
    for image in data.imgs.values():
        label = labels[image["file_name"].removesuffix(".jpg")]
        found = np.zeros((image["height"], image["width"]), np.uint8)
        annotations = data.loadAnns(data.getAnnIds(image["id"]))
        for annotation in annotations:
            mask = data.annToMask(annotation).astype(bool)
            assert annotation["area"] == mask.sum()
            found[mask] = annotation["category_id"]
        assert np.array_equal(found, label)
        assert len(annotations) == len({*np.unique(label)} - {0})


def test_without_void_there_is_no_category_of_it(tmp_path: Path) -> None:
    data = COCO(str(export(tmp_path, {"a": np.minimum(TINY, 1), "b": TINY % 255})))
    assert [one["name"] for one in data.loadCats(data.getCatIds())] == list(NAMES)


def test_a_class_called_void_is_refused(tmp_path: Path) -> None:
    folder = label_sources.prediction(tmp_path / "out", {"a": TINY})
    legend = folder / "legend.csv"
    legend.write_text(legend.read_text().replace("owl", "void"))
    label_sources.pictures(tmp_path / "pictures", {"a": TINY})
    source = open_source(folder, images=tmp_path / "pictures")
    with pytest.raises(ArtefactError, match="class 'void' has a meaning of its own there; rename it"):
        export_labels(Job(source, tmp_path / "labels.json"), coco.COCO)
