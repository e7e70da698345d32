"""The folder that the PASCAL VOC server takes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsss.artefacts.formats import ArtefactError, palette, write_labels
from wsss.stages.segment import export_predictions

LABEL = np.arange(12, dtype=np.uint8).reshape(3, 4)


def run(folder: Path, damage: bool = False) -> Path:
    shards = [folder / name for name in ("000of002", "001of002")]
    indexes = [shard.with_suffix(".jsonl") for shard in shards]
    for number, (shard, index) in enumerate(zip(shards, indexes, strict=True)):
        write_labels(shard, index, [(f"2008_00000{number}", LABEL + number)])
    if damage:
        path = shards[1] / "2008_000001.png"
        path.write_bytes(path.read_bytes()[:100])
    export_predictions.run(labels=shards, indexes=indexes, submission=folder / "submission")
    return folder / "submission"


def test_predictions_of_all_shards_lie_in_the_server_s_folder(tmp_path: Path) -> None:
    folder = run(tmp_path) / "results/VOC2012/Segmentation/comp6_test_cls"
    assert sorted(path.name for path in folder.iterdir()) == ["2008_000000.png", "2008_000001.png"]
    with Image.open(folder / "2008_000001.png") as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.array(image), LABEL + 1)
        assert list(image.getpalette() or [])[:36] == palette()[:12].flatten().tolist()


def test_a_prediction_cut_short_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"001of002/2008_000001\.png"):
        run(tmp_path, damage=True)
    assert not (tmp_path / "submission").exists()


def test_a_data_set_without_test_images_is_refused(tmp_path: Path) -> None:
    write_labels(tmp_path / "000of001", tmp_path / "000of001.jsonl", [])
    with pytest.raises(ArtefactError, match=r"submission: no images in the split 'test'.*VOC2012test\.tar"):
        export_predictions.run(
            labels=[tmp_path / "000of001"],
            indexes=[tmp_path / "000of001.jsonl"],
            submission=tmp_path / "submission",
        )
    assert not (tmp_path / "submission").exists()
