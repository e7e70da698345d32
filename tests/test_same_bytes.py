"""The same seed gives the same bytes, from the manifest to the metrics."""

from pathlib import Path

import pytest

from tests.support.tiny_run import artefacts, run_tiny, tiny_run

pytestmark = pytest.mark.slow


def test_the_same_seed_twice_gives_the_same_bytes(tmp_path_factory: pytest.TempPathFactory) -> None:
    checkout, folder = tiny_run(tmp_path_factory)
    again = tmp_path_factory.mktemp("again") / "run"
    run_tiny(checkout, again)
    first, second = artefacts(folder), artefacts(again)
    assert sorted(first) == sorted(second)
    assert [name for name in first if first[name] != second[name]] == []
    kinds = {Path(name).suffix for name in first}
    assert {".json", ".jsonl", ".safetensors", ".png", ".csv"} <= kinds
