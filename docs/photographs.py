r"""Draw docs/photographs.png: what a network trained on one data set says of photographs it has never seen.

    python docs/photographs.py results/msrc21 run0/own/adcam_n020/own/own \
        tests/configs/msrc21.yaml ../shared/data/coco128

The photographs are chosen by a rule: those of COCO under licence 4 (CC BY 2.0) that show, by COCO's own
labels, a class that the network knows by the same name; the first eight by number. The script prints their
source pages for the caption.
"""

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from wsss.artefacts.formats import Manifest, Record, read_image, read_manifest
from wsss.config.reading import read_config
from wsss.report.figures import label_overlay, picture_grid, save
from wsss.stages.segment.predict_masks import label_maps

LICENCE = 4
COUNT, ROWS = 8, 2
LONG_SIDE = 320  # pixels: as large as the training photographs


def main(results: str, chain: str, overlay: str, coco: str) -> None:
    """Choose, predict, draw, and print the credits."""
    manifest, settings = read_manifest(f"{results}/manifest.jsonl"), read_config([Path(overlay)])
    segmenter = settings["segmenters"][chain.rpartition("/")[2]]
    inference = settings["inferences"][settings["datasets"][Path(results).name]["main"]["inference"]]
    chosen = choose(json.loads((Path(coco) / "instances.json").read_text()), set(manifest.classes))
    records = [scaled(Path(coco) / "images" / image["file_name"], Path(results)) for image in chosen]
    weights = f"{results}/{chain}/weights.safetensors"
    data = Manifest(manifest.dataset, manifest.classes, tuple(records))
    predicted = list(label_maps(data, records, weights, segmenter["network"], inference))
    pictures = [
        picture
        for record, labels in zip(records, predicted, strict=True)
        for picture in (read_image(record), label_overlay(read_image(record), labels))
    ]
    width = 2 * COUNT // ROWS
    rows = [squares(pictures[start : start + width]) for start in range(0, len(pictures), width)]
    seen = sorted({int(label) for labels in predicted for label in np.unique(labels)} - {0})
    legend = {manifest.classes[label - 1]: label for label in seen}
    save(picture_grid(rows, [""] * width, [""] * len(rows), legend), "docs/photographs.png")
    for image in chosen:
        photograph = image["flickr_url"].rpartition("/")[2].partition("_")[0]
        print(f"[{image['id']}](https://www.flickr.com/photo.gne?id={photograph})")


def choose(instances: dict, names: set[str]) -> list[dict]:
    """The first photographs by number that may be shown and have a known class."""
    known = {category["id"] for category in instances["categories"] if category["name"] in names}
    shows = {entry["image_id"] for entry in instances["annotations"] if entry["category_id"] in known}
    free = [image for image in instances["images"] if image["license"] == LICENCE and image["id"] in shows]
    return sorted(free, key=lambda image: image["id"])[:COUNT]


def scaled(path: Path, results: Path) -> Record:
    """A copy of a photograph, as large as those of the training, as a record without labels."""
    picture = Image.open(path).convert("RGB")
    picture.thumbnail((LONG_SIDE, LONG_SIDE), Image.Resampling.BICUBIC)
    copy = results / "photographs" / f"{path.stem}.png"
    copy.parent.mkdir(exist_ok=True)
    picture.save(copy)
    return Record(path.stem, str(copy), None, picture.height, picture.width, (), ("test",))


def squares(pictures: list) -> list:
    """Pictures on white squares, so that all columns are alike."""
    canvases = []
    for picture in pictures:
        canvas = np.full((LONG_SIDE, LONG_SIDE, 3), 255, np.uint8)
        top, left = ((LONG_SIDE - side) // 2 for side in picture.shape[:2])
        canvas[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
        canvases.append(canvas)
    return canvases


if __name__ == "__main__":
    main(*sys.argv[1:])
