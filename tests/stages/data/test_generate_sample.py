"""The generated data set: its files, and the same bytes twice."""

import csv
from pathlib import Path

import numpy as np

from wsss.artefacts.formats import read_image, read_mask
from wsss.stages.data import generate_sample

SETTINGS = {"kind": "sample", "seed": 3, "train": 6, "val": 2, "side": [64, 80]}


def generate(folder: Path, **changes: object) -> dict[str, bytes]:
    """Content of all generated files by name."""
    generate_sample.run(source=folder, settings=SETTINGS | changes)
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    first = generate(tmp_path / "first")
    assert len(first) == 17
    assert generate(tmp_path / "second") == first
    assert generate(tmp_path / "third", seed=4) != first


def test_more_images_leave_the_others_as_they_are(tmp_path: Path) -> None:
    few, many = generate(tmp_path / "few"), generate(tmp_path / "many", train=7, test=1)
    assert {name: many[name] for name in few if name.endswith(".png")} == {
        name: content for name, content in few.items() if name.endswith(".png")
    }


def test_the_table_says_what_the_masks_show(tmp_path: Path) -> None:
    generate(tmp_path)
    with (tmp_path / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0][:2] == ["id", "split"]
    assert [row[1] for row in rows[1:]] == ["train"] * 6 + ["val"] * 2
    for name, _, *flags in rows[1:]:
        mask = read_mask(tmp_path / "masks" / f"{name}.png")
        assert read_image(tmp_path / "images" / f"{name}.png").shape[:2] == mask.shape
        assert set(np.unique(mask)) == {0, *(index for index, flag in enumerate(flags, 1) if flag == "1")}
