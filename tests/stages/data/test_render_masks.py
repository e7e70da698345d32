"""COCO's masks on disk."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.datasets import coco_object, coco_set
from wsss.artefacts.formats import read_mask
from wsss.data.records import DataError
from wsss.stages.data import render_masks

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools


@pytest.mark.parametrize("workers", [1, 2])
def test_every_image_has_a_mask(tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: workers)
    settings = coco_set(tmp_path, [coco_object(1, 7, (2, 1, 4, 2), 1)])
    render_masks.run(source=tmp_path / "source", settings=settings)
    folder = tmp_path / "source" / "masks" / "train"
    assert sorted(path.name for path in folder.iterdir()) == ["1.png", "2.png", "3.png"]
    assert np.bincount(read_mask(folder / "1.png").ravel()).tolist() == [40, 0, 8]
    assert not read_mask(folder / "3.png").any()


def test_missing_parts_are_named_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"instances_val2014\.json: .*cocodataset\.org"):
        render_masks.run(source=tmp_path / "source", settings={"kind": "coco", "root": str(tmp_path)})
    assert not (tmp_path / "source").exists()
