"""A score of a data set that has nothing to score is refused before anything runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.datasets import folder_set
from tests.support.planning import snakemake
from wsss.config.datasets import FolderData
from wsss.config.errors import ConfigError
from wsss.workflow.truth import check_scored

SPLIT_ROWS = ("id,split,class", "a,val,cat", "b,train,cat")


def settings(root: Path, rows: tuple[str, ...] = ("a,cat", "b,dog"), **changed: Any) -> FolderData:
    return FolderData(**{**folder_set(root, rows), **changed})


def test_with_masks_and_a_split_there_is_nothing_to_refuse(tmp_path: Path) -> None:
    check_scored("mine", settings(tmp_path, SPLIT_ROWS), "val")
    check_scored("mine", settings(tmp_path, SPLIT_ROWS), "train")


def test_without_masks_no_score_can_be_had(tmp_path: Path) -> None:
    for split in ("train", "val"):
        with pytest.raises(ConfigError, match=r"datasets\.mine: expected masks.*results/mine/predictor"):
            check_scored("mine", settings(tmp_path, SPLIT_ROWS, masks=None), split)


@pytest.mark.parametrize(
    ("masks", "targets"),
    [
        (None, ["seg_miou.json", "apc/seg_miou.json", "run0/own/cam/none/seed_miou.json"]),
        ("masks", ["seg_miou.json", "apc/seg_miou.json"]),
    ],
)
def test_a_run_with_nothing_to_score_stops_before_any_job(
    tmp_path: Path, quoted: Callable[[str], None], masks: str | None, targets: list[str]
) -> None:
    data = {**folder_set(tmp_path), "masks": masks}
    overlay = tmp_path / "mine.yaml"
    overlay.write_text(yaml.safe_dump({"datasets": {"mine": data}}))
    arguments = ("--cores", "1", "--directory", tmp_path, "--configfile", overlay, "--")
    for target in targets:
        result = snakemake(*arguments, f"results/mine/{target}")
        assert result.returncode == 1 and "results/mine/predictor" in result.stdout, result.stdout
        quoted(result.stdout)
    assert not (tmp_path / "results").exists()


def test_pictures_need_no_masks(tmp_path: Path) -> None:
    overlay = tmp_path / "mine.yaml"
    overlay.write_text(yaml.safe_dump({"datasets": {"mine": {**folder_set(tmp_path), "masks": None}}}))
    arguments = ("-n", "--directory", tmp_path, "--configfile", overlay, "--", "results/mine/examples.png")
    result = snakemake(*arguments)
    assert result.returncode == 0 and "draw_examples" in result.stdout, result.stdout
