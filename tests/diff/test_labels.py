"""Differences of label maps."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from wsss.artefacts.formats import ArtefactError, write_labels, write_mask
from wsss.diff.labels import compare_labels
from wsss.methods.metrics import confusion, scores

CLASSES = ("cat", "dog")


def folder(path: Path, labels: dict[str, list[list[int]]]) -> dict[str, Path]:
    """A folder of label maps as a side of a comparison."""
    write_labels(path, path.with_suffix(".jsonl"), [(name, np.array(rows)) for name, rows in labels.items()])
    return {path.name: path.with_suffix(".jsonl")}


def test_by_hand(tmp_path: Path) -> None:
    a = folder(tmp_path / "a/000of001", {"x": [[0, 0, 1, 1]], "p/y": [[0, 2, 255, 255]]})
    b = folder(tmp_path / "b/000of001", {"x": [[0, 1, 1, 1]], "p/y": [[0, 2, 255, 0]]})
    found = compare_labels(a, b, CLASSES)
    assert found.amounts["share_disagreeing"] == 2 / 8
    expected = {"background": 2 / 4, "cat": 2 / 3, "dog": 1.0, "void": 1 / 2}
    assert found.amounts["iou"] == pytest.approx(expected)
    assert list(found.worst.items()) == [("p/y", 0.25), ("x", 0.25)]
    assert found.text.startswith("25 % of the pixels disagree; IoU between the two 66.7 %, lowest background")
    assert compare_labels(a, a, CLASSES).same


def test_iou_is_that_of_the_scores(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 3, (2, 5, 20, 20), dtype=np.uint8)
    sides = [
        folder(
            tmp_path / name / "000of001", {str(number): label.tolist() for number, label in enumerate(side)}
        )
        for name, side in (("a", a), ("b", b))
    ]
    found = compare_labels(*sides, CLASSES)
    expected = scores(confusion(b, a, 3))
    assert list(found.amounts["iou"].values()) == pytest.approx(expected.iou.tolist())
    assert found.amounts["mean_iou"] == pytest.approx(expected.means["miou"])
    assert 1 - found.amounts["share_disagreeing"] == pytest.approx(expected.means["pixel_accuracy"])


def test_images_of_one_side_and_of_another_size_are_told(tmp_path: Path) -> None:
    a = folder(tmp_path / "a/000of001", {"x": [[0, 1]], "y": [[1, 1]], "z": [[1, 1]]})
    b = folder(tmp_path / "b/000of001", {"x": [[0, 1]], "y": [[1], [1]]})
    found = compare_labels(a, b, CLASSES)
    assert not found.same
    assert found.notes == ["1 image only in A", "1 image of another shape"]
    assert found.amounts["pixels"] == 2


def test_classes_without_names_have_numbers(tmp_path: Path) -> None:
    a = folder(tmp_path / "a/000of001", {"x": [[0, 7]]})
    b = folder(tmp_path / "b/000of001", {"x": [[7, 7]]})
    assert set(compare_labels(a, b, ()).amounts["iou"]) == {"background", "label 7"}


def test_a_missing_label_map_is_a_clear_error(tmp_path: Path) -> None:
    a = folder(tmp_path / "a/000of001", {"x": [[0, 7]]})
    b = folder(tmp_path / "b/000of001", {"x": [[7, 7]]})
    (tmp_path / "b/000of001/x.png").unlink()
    with pytest.raises(ArtefactError, match=r"x\.png: no such file"):
        compare_labels(a, b, CLASSES)


def peak(path: Path, count: int) -> int:
    """Most bytes that Python and numpy hold at once in a comparison of so many label maps."""
    labels = {str(number): np.full((300, 300), number % 2) for number in range(count)}
    a = folder(path / f"a{count}/000of001", {name: label.tolist() for name, label in labels.items()})
    b = folder(path / f"b{count}/000of001", {name: (1 - label).tolist() for name, label in labels.items()})
    compare_labels(a, b, CLASSES)  # what is loaded once does not count
    tracemalloc.start()
    compare_labels(a, b, CLASSES)
    highest = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return highest


def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    few, many = peak(tmp_path, 2), peak(tmp_path, 20)
    assert many - few < 2 * 300 * 300  # less than one more pair of label maps


def test_two_masks(tmp_path: Path) -> None:
    write_mask(tmp_path / "a.png", np.array([[0, 1]], np.uint8))
    write_mask(tmp_path / "b.png", np.array([[1, 1]], np.uint8))
    a, b = {"": tmp_path / "a.png"}, {"": tmp_path / "b.png"}
    assert compare_labels(a, b, CLASSES).amounts["share_disagreeing"] == 0.5
    assert compare_labels(a, a, CLASSES).same
