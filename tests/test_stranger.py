"""From a folder of pictures to masks in another tool, as somebody who has never seen the project would go."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from tests.support.documents import run_line
from tests.support.pictures import own_pictures
from tests.support.tiny_run import session_checkout
from wsss.data.generated import SAMPLE_CLASSES, sample_scenes


def unseen(folder: Path, count: int) -> dict[str, np.ndarray]:
    """Pictures of another draw, and their masks."""
    folder.mkdir()
    masks = {}
    for number, scene in enumerate(sample_scenes(9, 0, count, (64, 96))):
        Image.fromarray(scene.image).save(folder / f"new{number}.png")
        masks[f"new{number}"] = scene.mask
    return masks


@pytest.mark.slow
def test_from_pictures_to_masks_in_another_tool(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    checkout = session_checkout(tmp_path_factory)
    own_pictures(tmp_path / "pets", 36)
    said = run_line(
        checkout, tmp_path, "wsss init pets --images pets/images --labels pets/labels.csv --gpu no"
    )
    run_line(checkout, tmp_path, said.strip().splitlines()[-1])  # the command that it prints
    truth = unseen(tmp_path / "new", 24)
    run_line(checkout, tmp_path, "wsss predict results/pets/predictor new --out labels")
    run_line(checkout, tmp_path, "wsss export labels labels --to coco --images new --out labels.json")
    coco = COCO(tmp_path / "labels.json")
    assert {entry["name"] for entry in coco.cats.values()} == set(SAMPLE_CLASSES)
    inside, outside = [], []
    for image in coco.imgs.values():
        found = np.zeros((image["height"], image["width"]), bool)
        for annotation in coco.loadAnns(coco.getAnnIds(image["id"])):
            found |= coco.annToMask(annotation).astype(bool)
        mask = truth[Path(image["file_name"]).stem]
        assert found.shape == mask.shape
        inside.append(found[mask > 0])
        outside.append(found[mask == 0])
    # 36 pictures teach little: that animals are found rather than ground is what they can
    assert np.concatenate(inside).mean() > 2.5 * np.concatenate(outside).mean() > 0
    known = json.loads((tmp_path / "results/pets/predictor/predictor.json").read_text())
    assert known["scores"] is None and known["training"]["images"] == 36
    assert (tmp_path / "results/pets/examples.png").is_file()
