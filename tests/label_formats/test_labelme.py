"""LabelMe's polygons, filled as labelme fills them: by Pillow's ImageDraw, one after the other."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from pycocotools import mask as rle

from tests.support import label_sources
from tests.support.label_sources import TINY, scenes
from wsss.artefacts.formats import Labels
from wsss.label_formats.form import Job, Options
from wsss.label_formats.labelme import LABELME
from wsss.label_formats.source import open_source
from wsss.label_formats.writing import export_labels

VALUES = {"__ignore__": 255, "_background_": 0, "cat": 1, "dog": 2, "owl": 3}


def export(folder: Path, labels: dict[str, Labels], tolerance: float = 0.0) -> tuple[Path, str]:
    source = open_source(label_sources.run(folder, labels))
    out = folder / "labelme"
    return out, export_labels(Job(source, out, Options(tolerance=tolerance)), LABELME)


def drawn(content: dict) -> Labels:
    """The label map of a file, by what labelme's ``shapes_to_label`` does with polygons."""
    image = Image.new("L", (content["imageWidth"], content["imageHeight"]))
    draw = ImageDraw.Draw(image)
    for shape in content["shapes"]:
        assert shape["shape_type"] == "polygon" and len(shape["points"]) > 2  # as labelme asks
        value = VALUES[shape["label"]]
        draw.polygon([tuple(point) for point in shape["points"]], outline=value, fill=value)
    return np.array(image)


def test_polygons_of_a_label_map_worked_by_hand(tmp_path: Path) -> None:
    out, _ = export(tmp_path, {"tiny": TINY})
    content = json.loads((out / "tiny.json").read_text())
    found = [(shape["label"], shape["points"], shape["group_id"]) for shape in content["shapes"]]
    assert found == [
        ("cat", [[1, 0], [1, 2], [3, 2], [3, 0]], 1),
        ("_background_", [[2, 1]] * 3, 0),
        ("dog", [[4, 1], [4, 2], [4, 2]], 2),
        ("__ignore__", [[4, 3]] * 3, 255),
    ]
    assert content["imagePath"] == "../pictures/tiny.jpg" and content["imageData"] is None
    assert (out / "labels.txt").read_text().split() == list(VALUES)


def test_pillow_draws_the_label_maps_back_without_a_wrong_pixel(tmp_path: Path) -> None:
    labels = scenes()
    out, note = export(tmp_path, labels)
    for name, label in labels.items():
        content = json.loads((out / f"{name}.json").read_text())
        assert np.array_equal(drawn(content), label)
        assert (out / f"{name}.json").parent.joinpath(content["imagePath"]).is_file()
    pixels = sum(label.size for label in labels.values())
    assert note == f"as labelme fills them, the polygons change 0 of {pixels} pixels (0.00%)"


def test_what_a_tolerance_changes_is_said(tmp_path: Path) -> None:
    labels = {name: label for name, label in scenes().items() if name.startswith("img")}
    out, note = export(tmp_path, labels, tolerance=2.0)
    contents = {name: json.loads((out / f"{name}.json").read_text()) for name in labels}
    changed = sum(int((drawn(contents[name]) != label).sum()) for name, label in labels.items())
    pixels = sum(label.size for label in labels.values())
    assert 0 < changed < 0.1 * pixels
    assert f"change {changed} of {pixels} pixels" in note
    assert note in (out / "about.txt").read_text()


def test_readers_that_take_corners_for_points_of_the_plane_lose_an_edge(tmp_path: Path) -> None:
    """The polygons go through the centres of pixels, half a pixel within the border of what they fill."""
    label = np.zeros((20, 30), np.uint8)
    label[5:15, 5:25] = 1
    out, _ = export(tmp_path, {"a": label})
    (shape,) = json.loads((out / "a.json").read_text())["shapes"]
    (encoded,) = rle.frPyObjects([np.ravel(shape["points"]).tolist()], *label.shape)
    assert int(rle.area(encoded)) == 9 * 19
    assert label.sum() == 10 * 20


@pytest.mark.parametrize("tolerance", [0.0, 1.0])
def test_an_image_without_classes_has_no_polygons(tmp_path: Path, tolerance: float) -> None:
    out, _ = export(tmp_path, {"empty": np.zeros((3, 4), np.uint8)}, tolerance)
    assert json.loads((out / "empty.json").read_text())["shapes"] == []
