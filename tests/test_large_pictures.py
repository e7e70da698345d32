"""Photographs of 12 megapixels from the settings to labels of new ones, by the smallest chain."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.support.documents import run_line
from tests.support.pictures import own_pictures
from tests.support.settings import ROOT
from tests.support.tiny_run import session_checkout
from wsss import load_predictor
from wsss.artefacts.formats import read_image, read_manifest, read_mask

SIDE = 96
RUN = "snakemake --cores 1 --configfile photos.yaml -- results/photos/predictor results/photos/seg_miou.json"


def write_settings(path: Path) -> None:
    """Of the photographs, with a chain that takes a minute."""
    settings = yaml.safe_load((ROOT / "tests/configs/tiny.yaml").read_text())
    main = settings.pop("datasets")["sample"]["main"]
    data = {"kind": "folder", "root": "photos", "long_side": SIDE, "shards": 1, "val_shards": 1}
    settings["datasets"] = {"photos": {**data, "main": main, "inferences": [main["inference"]]}}
    path.write_text(yaml.safe_dump(settings))


def split(table: Path, train: int) -> None:
    """Say in a table that the pictures after the first ``train`` are held back."""
    header, *rows = (line.partition(",") for line in table.read_text().splitlines())
    kept = [
        f"{name},{'train' if number < train else 'val'},{shown}"
        for number, (name, _, shown) in enumerate(rows)
    ]
    table.write_text("\n".join([f"id,split,{header[2]}", *kept]) + "\n")


@pytest.mark.slow
def test_they_are_trained_on_and_labelled(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    checkout = session_checkout(tmp_path_factory)
    own_pictures(tmp_path / "photos", 8, masks=True, enlarged=48)
    split(tmp_path / "photos" / "labels.csv", 6)
    write_settings(tmp_path / "photos.yaml")
    run_line(checkout, tmp_path, RUN, "--snakefile", checkout / "Snakefile")
    run = tmp_path / "results" / "photos"
    records = read_manifest(run / "manifest.jsonl").records
    assert {max(record.height, record.width) for record in records} == {SIDE}
    assert json.loads((run / "seg_miou.json").read_text())["form"] == "summary"

    photo = tmp_path / "photos" / "images" / "007.jpg"
    run_line(checkout, tmp_path, f"wsss predict results/photos/predictor {photo} --no-crf --out labels")
    labels, picture = read_mask(tmp_path / "labels" / "007.png"), read_image(photo)
    assert labels.shape == picture.shape[:2] and labels.size > 12e6
    # What it says of the picture as the training read it, at the picture's own size.
    small = load_predictor(run / "predictor", inference={"crf": None})(tmp_path / records[7].image).labels
    rows, columns = (
        ((np.arange(to) + 0.5) * of / to).astype(int)
        for of, to in zip(labels.shape, small.shape, strict=True)
    )
    assert (labels[np.ix_(rows, columns)] == small).mean() > 0.98
