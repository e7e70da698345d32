"""Label Studio's brush, read by Label Studio's own converter."""

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from label_studio_sdk.converter import brush as converter

from tests.support import label_sources
from tests.support.label_sources import scenes
from wsss.artefacts.formats import Labels
from wsss.label_formats.form import Job, Options
from wsss.label_formats.labelstudio import LABEL_STUDIO, brush
from wsss.label_formats.source import open_source
from wsss.label_formats.writing import export_labels

VALUES = {"cat": 1, "dog": 2, "owl": 3, "void": 255}


def decoded(region: dict) -> Labels:
    """A region's mask, by the converter."""
    height, width = region["original_height"], region["original_width"]
    return converter.decode_rle(region["value"]["rle"]).reshape(height, width, 4)[:, :, 3]


def test_a_brush_worked_by_hand() -> None:
    head = f"{8:032b}" + "00111" + "0010" + "0011" + "0111" + "1111"
    bits = head + "1" + "00" + "011" + "00000000" + "1" + "00" + "011" + "11111111" + "0000000"
    expected = [int(bits[start : start + 8], 2) for start in range(0, len(bits), 8)]
    assert expected == [0, 0, 0, 8, 57, 27, 252, 96, 17, 255, 128]
    assert brush(np.array([[False, True]])) == expected


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 63, 64, 65, 16383, 16384, 16385, 40000])
@pytest.mark.parametrize("start", [False, True])
def test_runs_of_all_lengths_are_those_of_the_converter(width: int, start: bool) -> None:
    mask = np.full((2, width), start)
    mask[1, width // 2 :] = not start
    encoded = brush(mask)
    theirs = converter.mask2rle((255 * mask).astype(np.uint8))
    assert theirs[: len(encoded)] == encoded and not any(theirs[len(encoded) :])  # theirs may end in a 0
    assert np.array_equal(converter.decode_rle(encoded)[3::4] > 0, mask.ravel())


def test_the_converter_reads_the_label_maps_back(tmp_path: Path) -> None:
    labels = scenes()
    source = open_source(label_sources.run(tmp_path, labels))
    export_labels(Job(source, tmp_path / "ls", Options(image_url="/data/local-files/?d=mine/")), LABEL_STUDIO)
    tasks = json.loads((tmp_path / "ls/tasks.json").read_text())
    addresses = [task["data"]["image"] for task in tasks]
    assert addresses[:3] == [
        f"/data/local-files/?d=mine/{name}.jpg" for name in ("tiny", "part/empty", "img%200")
    ]
    for task, label in zip(tasks, labels.values(), strict=True):
        (prediction,) = task["predictions"]
        found = np.zeros(label.shape, np.uint8)
        for region in prediction["result"]:
            assert (region["type"], region["value"]["format"]) == ("brushlabels", "rle")
            (name,) = region["value"]["brushlabels"]
            found[decoded(region) > 0] = VALUES[name]
        assert np.array_equal(found, label)


def test_the_interface_has_the_names_that_the_tasks_use(tmp_path: Path) -> None:
    folder = label_sources.prediction(tmp_path / "out", {"a": scenes()["tiny"]})
    legend = folder / "legend.csv"
    legend.write_text(legend.read_text().replace("owl", '"<owl> & ""co"""'))
    label_sources.pictures(tmp_path / "pictures", {"a": scenes()["tiny"]})
    source = open_source(folder, images=tmp_path / "pictures")
    export_labels(Job(source, tmp_path / "ls"), LABEL_STUDIO)
    view = ElementTree.parse(tmp_path / "ls/interface.xml").getroot()
    (image,), (brushes,) = view.findall("Image"), view.findall("BrushLabels")
    assert (image.get("name"), image.get("value"), brushes.get("toName")) == ("image", "$image", "image")
    assert [one.get("value") for one in brushes] == ["cat", "dog", '<owl> & "co"', "void"]
    assert [one.get("background") for one in brushes] == ["#800000", "#008000", "#808000", "#e0e0c0"]
    (task,) = json.loads((tmp_path / "ls/tasks.json").read_text())
    regions = task["predictions"][0]["result"]
    assert {(region["from_name"], region["to_name"]) for region in regions} == {("label", "image")}
