"""Finding a system's files among many by the jobs that their headers name."""

from pathlib import Path

import pytest

from wsss.artefacts.files import ArtefactError
from wsss.artefacts.formats import write_json
from wsss.artefacts.identity import Identity, making
from wsss.evaluation.systems import by_run, find_all, find_runs


def results(folder: Path, name: str, seed: int, **wildcards: str) -> Path:
    with making(Identity("any", {"run": str(seed), **wildcards})):
        write_json(folder / name, {})
    return folder / name


def test_a_file_that_several_systems_share_is_found_once(tmp_path: Path) -> None:
    shared = [results(tmp_path, f"{name}.json", 0, single="apc", shard=name) for name in "ba"]
    others = [results(tmp_path, "c.json", 1, single="apc"), results(tmp_path, "d.json", 0, single="apc_max")]
    assert find_all(by_run([*shared, *others, *shared]), 0, "apc") == shared


def test_a_chain_s_files_come_in_the_order_of_the_runs_whatever_they_are_called(tmp_path: Path) -> None:
    chain = {"refiner": "irn", "classifier": "small", "method": "adcam"}
    files = [results(tmp_path, f"{number}.json", seed, **chain) for number, seed in enumerate((1, 0))]
    found = by_run(files)
    assert find_runs(found, [0, 1], "small/adcam/irn") == files[::-1]
    assert find_runs(found, [0, 1], "small/adcam/none") == []
    with pytest.raises(
        ArtefactError, match=r"expected such a file of each of the runs \[0, 2\], none of \[2\]"
    ):
        find_runs(found, [0, 2], "small/adcam/irn")


def test_a_file_without_a_header_is_told_by_the_one_beside_it(tmp_path: Path) -> None:
    headed = [results(tmp_path, f"{name}.json", 0, classifier=name) for name in ("one", "two")]
    assert find_all(by_run(["1.csv", "2.csv"], headed), 0, "two") == ["2.csv"]


def test_a_file_that_names_no_job_is_an_error(tmp_path: Path) -> None:
    write_json(tmp_path / "scores.json", {"miou": 0.5})
    with pytest.raises(ArtefactError, match=r"scores\.json: expected the rule and wildcards of the job"):
        by_run([tmp_path / "scores.json"])
