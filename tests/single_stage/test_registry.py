"""The table of single-stage methods."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.settings import CONFIG
from wsss.single_stage.registry import MAPS, METHODS, SOURCES, TITLES
from wsss.workflow.fingerprint import PACKAGE, fingerprint

STAGES = ("train_single_stage", "extract_patch_maps", "predict_single_stage_masks")


@pytest.fixture
def copied(tmp_path: Path) -> Callable[..., Path]:
    """The package's sources with a second method, which is APC under another name."""

    def write() -> Path:
        package = tmp_path / "wsss"
        shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("*.safetensors", "__pycache__"))
        folder = package / "single_stage"
        (folder / "other.py").write_text((folder / "apc.py").read_text().replace('["apc"]', '["other"]'))
        table = (folder / "registry.py").read_text()
        table = table.replace("import apc, toco, vit_pcm\n", "import apc, other, toco, vit_pcm\n")
        (folder / "registry.py").write_text(table.replace('"apc": apc,', '"apc": apc,\n    "other": other,'))
        return package

    return write


def test_every_method_offers_its_maps_and_every_variant_has_one() -> None:
    assert all(MAPS[kind] in SOURCES[kind] and TITLES[kind] for kind in METHODS)
    assert {variant["kind"] for variant in CONFIG["single_stage"].values()} <= set(METHODS)


def test_a_second_method_runs_nothing_of_the_first_again(copied: Callable[..., Path]) -> None:
    package = copied()
    for stage in STAGES:
        assert fingerprint(stage, package, "apc") == fingerprint(stage, entry="apc")
        assert fingerprint(stage, package) != fingerprint(stage)
        assert fingerprint(stage, package, "other") != fingerprint(stage, package, "apc")
