"""Files and folders are whole or absent: with two writers, and after a writer was killed."""

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import ended, fork, kill_this
from wsss.artefacts import files
from wsss.artefacts.files import Unwritten, atomic_file, atomic_folder, work_folder


def write_file(path: Path, text: str = "new") -> None:
    with atomic_file(path) as temporary:
        temporary.write_text(text)


def write_folder(path: Path, text: str = "new") -> None:
    with atomic_folder(path) as temporary:
        for name in "abc":
            (temporary / name).write_text(text)


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_two_writers_of_a_file_do_not_meet(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "out") as slow:
        slow.write_text("slow")
        write_file(tmp_path / "out", "fast")
        assert (tmp_path / "out").read_text() == "fast"
    assert contents(tmp_path) == {"out": "slow"}


def test_two_writers_of_a_folder_do_not_meet(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "out") as slow:
        (slow / "a").write_text("slow")
        write_folder(tmp_path / "out", "fast")
        assert contents(tmp_path / "out") == dict.fromkeys("abc", "fast")
    assert contents(tmp_path / "out") == {"a": "slow"}
    assert os.listdir(tmp_path) == ["out"]


def test_the_loser_of_a_race_for_a_folder_tries_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one writes between this one's two renames."""
    remove, others = files._remove_folder, iter(["first", "second"])

    def overtaken(target: Path) -> None:
        remove(target)
        text = next(others, None)
        if text:
            monkeypatch.setattr(files, "_remove_folder", remove)
            write_folder(target, text)
            monkeypatch.setattr(files, "_remove_folder", overtaken)

    monkeypatch.setattr(files, "_remove_folder", overtaken)
    write_folder(tmp_path / "out")
    assert next(others, None) is None
    assert contents(tmp_path / "out") == dict.fromkeys("abc", "new")
    assert os.listdir(tmp_path) == ["out"]


def test_a_folder_vanishes_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are removed one by one only under another name."""
    write_folder(tmp_path / "out", "old")
    seen = []

    def spy(path: Any, **keywords: Any) -> None:
        seen.append(contents(tmp_path / "out") if (tmp_path / "out").exists() else None)
        rmtree(path, **keywords)

    rmtree = shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", spy)
    write_folder(tmp_path / "out", "new")
    assert seen and all(found in (None, dict.fromkeys("abc", "new")) for found in seen)


def test_processes_that_replace_one_folder_all_succeed(tmp_path: Path) -> None:
    def write_often() -> None:
        for _ in range(100):
            write_folder(tmp_path / "out")

    children = [fork(write_often) for _ in range(3)]
    assert [ended(child) for child in children] == [0, 0, 0]
    assert contents(tmp_path / "out") == dict.fromkeys("abc", "new")
    assert os.listdir(tmp_path) == ["out"]


def die_writing(target: Path, folder: bool) -> None:
    with atomic_folder(target) if folder else atomic_file(target) as temporary:
        (temporary / "half" if folder else temporary).write_text("half")
        kill_this()


@pytest.mark.parametrize("folder", [False, True])
def test_what_a_killed_process_left_goes_at_the_next_write(tmp_path: Path, folder: bool) -> None:
    target = tmp_path / "out"
    assert ended(fork(lambda: die_writing(target, folder))) == -9
    assert ended(fork(lambda: die_writing(tmp_path / "out.b", folder))) == -9  # another artefact's stays
    left, other = sorted(os.listdir(tmp_path), key=len)
    assert left.startswith(".out.") and other.startswith(".out.b.")
    (write_folder if folder else write_file)(target)
    assert sorted(os.listdir(tmp_path)) == [other, "out"]


def test_temporaries_of_the_living_stay_and_those_of_other_hosts_until_they_are_old(tmp_path: Path) -> None:
    living = tmp_path / f".out.{files.HOST}.{os.getppid()}.00000000.tmp"
    young, old = (tmp_path / f".out.elsewhere.1.{number:08x}.tmp" for number in range(2))
    for path in (living, young, old):
        path.touch()
    os.utime(old, times=(time.time() - 1.1 * files.ABANDONED,) * 2)
    write_file(tmp_path / "out")
    assert set(tmp_path.iterdir()) == {living, young, tmp_path / "out"}


def test_a_file_inside_a_folder_is_named_by_the_folder(tmp_path: Path) -> None:
    with (
        pytest.raises(Unwritten, match=r"/labels: cannot be written \(No space left on device\)") as caught,
        atomic_folder(tmp_path / "labels") as folder,
        atomic_file(folder / "a.png"),
    ):
        raise OSError(28, os.strerror(28))
    assert caught.value.errno == 28
    assert not os.listdir(tmp_path)


def test_a_folder_that_cannot_be_made_is_told_plainly(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unwritten, match=r"out: cannot be written \(Not a directory\)"):
        write_file(tmp_path / "file" / "deeper" / "out")


def test_a_work_folder_is_of_one_shape_and_goes_with_success(tmp_path: Path) -> None:
    artefact = tmp_path / "000of002.safetensors"
    with pytest.raises(KeyError), work_folder(artefact, {"steps": 1}) as work:
        (work / "kept").touch()
        raise KeyError
    with pytest.raises(KeyError), work_folder(artefact, {"steps": 2}) as other:
        raise KeyError
    with work_folder(tmp_path / "001of002.safetensors", {"steps": 1}) as neighbour:
        assert len({work, other, neighbour}) == 3
    with work_folder(artefact, {"steps": 1}) as again:
        assert again == work and (again / "kept").exists()
    assert not os.listdir(tmp_path)


def test_a_work_folder_that_another_process_removed_is_no_failure(tmp_path: Path) -> None:
    with work_folder(tmp_path / "out", {}), work_folder(tmp_path / "out", {}) as same:
        shutil.rmtree(same)
    assert not os.listdir(tmp_path)
