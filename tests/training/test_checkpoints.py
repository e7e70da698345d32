"""When checkpoints are written, which are believed, whose they are, and two writers in one folder."""

import errno
import itertools
import random
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor, nn

from tests.support.toy_training import (
    SHORT,
    Killed,
    Points,
    fit,
    groups,
    killer,
    state_bytes,
    toy,
    toy_losses,
)
from tests.support.training_processes import FORK
from wsss.artefacts.files import ArtefactError
from wsss.training import Schedule, checkpoints
from wsss.training import run as training_run
from wsss.training.checkpoints import newest_whole


def names(folder: Path) -> list[str]:
    return sorted(path.stem for path in (folder / "work").glob("*.pth"))


# ------------------------------------------------------------------------------------------------------ when


def test_a_long_iteration_is_saved_by_the_clock_without_changing_a_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rarely = Schedule(iterations=12, batch=4, accumulate=2, checkpoints=1)
    whole = fit(tmp_path / "whole", rarely)
    assert names(tmp_path / "whole") == ["iteration-00000012"]
    monkeypatch.setattr(checkpoints, "SECONDS", 0.0)
    with pytest.raises(Killed):
        fit(tmp_path / "killed", rarely, losses=killer(11))
    assert names(tmp_path / "killed") == ["iteration-00000004", "iteration-00000005"]
    assert state_bytes(fit(tmp_path / "killed", rarely)) == state_bytes(whole)


def test_the_last_iteration_is_always_saved(tmp_path: Path) -> None:
    """What follows the training may take long, too."""
    fit(tmp_path, Schedule(iterations=7, batch=4, checkpoints=3))
    assert names(tmp_path) == ["iteration-00000006", "iteration-00000007"]


# --------------------------------------------------------------------------------------------------- damaged


def test_no_flipped_bit_of_a_checkpoint_is_believed(tmp_path: Path) -> None:
    """The check sums inside torch's archives miss some, and torch looks at none."""
    fit(tmp_path, Schedule(iterations=1, batch=4))
    whole = newest_whole(tmp_path / "work")
    assert whole is not None
    content, rng = whole.path.read_bytes(), random.Random(3)
    for place in [0, len(content) - 1, *rng.choices(range(len(content)), k=200)]:
        flipped = bytes([content[place] ^ (1 << rng.randrange(8))])
        whole.path.write_bytes(content[:place] + flipped + content[place + 1 :])
        assert newest_whole(tmp_path / "work") is None, f"byte {place}"
    whole.path.write_bytes(content)
    assert newest_whole(tmp_path / "work") is not None


def test_a_damaged_checkpoint_is_named_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fit(tmp_path, SHORT)
    newest = tmp_path / "work" / "iteration-00000012.pth"
    newest.write_bytes(newest.read_bytes()[:-50])
    found = newest_whole(tmp_path / "work")
    assert found is not None and (found.path.stem, found.passes) == ("iteration-00000009", 18)
    assert f"{newest} is damaged" in caplog.text


# ----------------------------------------------------------------------------------------------------- whose


def train(folder: Path, *, losses: Any = toy_losses, **params: Any) -> None:
    """The toy as a stage trains: its product, shaped by all of ``params``, one input and the code."""
    network = toy()
    product = training_run.Product(
        "train_irn",
        folder / "weights.safetensors",
        folder / "history.csv",
        {"seed": 1, **params},
        {"manifest": folder / "manifest", "labels": [folder / "labels"]},
    )
    training_run.fit(network, losses, Points(), groups(network), SHORT, product)


def changed_input(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    (folder / "labels").write_text("others")
    return {}


def changed_code(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(training_run, "fingerprint", lambda stage, entry: "another")
    return {}


CHANGES: dict[str, Callable[[Path, pytest.MonkeyPatch], dict[str, Any]]] = {
    "nothing": lambda folder, monkeypatch: {},
    "seed": lambda folder, monkeypatch: {"seed": 2},
    "config": lambda folder, monkeypatch: {"training": {"lr": 0.2}},
    "input": changed_input,
    "code": changed_code,
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_checkpoint_of_another_config_input_or_code_is_never_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    for name in ("manifest", "labels"):
        (tmp_path / name).write_text(name)
    with pytest.raises(Killed):
        train(tmp_path, losses=killer(13), training={"lr": 0.1})
    passes: list[int] = []

    def counted(network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        passes.append(1)
        return toy_losses(network, batch)

    params = {"training": {"lr": 0.1}, **CHANGES[change](tmp_path, monkeypatch)}
    train(tmp_path, losses=counted, **params)
    assert len(passes) == (12 if change == "nothing" else 24)
    assert not list(tmp_path.glob("work-*"))


# ----------------------------------------------------------------------------------------------- two writers


def test_two_processes_that_train_the_same_both_succeed(tmp_path: Path) -> None:
    for folder in ("both", "alone"):
        (tmp_path / folder).mkdir()
        for name in ("manifest", "labels"):
            (tmp_path / folder / name).write_text(name)
    rivals = [FORK.Process(target=train, args=(tmp_path / "both",)) for _ in range(2)]
    for rival in rivals:
        rival.start()
    train(tmp_path / "alone")
    for rival in rivals:
        rival.join()
        assert rival.exitcode == 0
    for file in ("weights.safetensors", "history.csv"):
        assert (tmp_path / "both" / file).read_bytes() == (tmp_path / "alone" / file).read_bytes()
    left = [path.name for path in (tmp_path / "both").iterdir()]
    assert not [name for name in left if name.startswith(("work", "."))]


def remove_again_and_again(work: Path) -> None:
    for seconds in itertools.cycle([0, 0.0005, 0.002, 0.005, 0.02]):
        time.sleep(seconds)
        with suppress(FileNotFoundError):
            work.rename(work.with_name("removed"))  # at once, as a training that has finished does
            shutil.rmtree(work.with_name("removed"))


def test_a_folder_that_another_process_removes_does_not_fail_the_slower(
    tmp_path: Path,
) -> None:
    """It goes dozens of times, at any moment of a checkpoint's writing."""
    whole = fit(tmp_path / "whole", Schedule(iterations=30, batch=4, checkpoints=1))
    rival = FORK.Process(target=remove_again_and_again, args=(tmp_path / "slow" / "work",))
    rival.start()
    try:
        slow = fit(tmp_path / "slow", Schedule(iterations=30, batch=4, checkpoints=30))
    finally:
        rival.kill()
        rival.join()
    assert rival.exitcode == -signal.SIGKILL  # it did not fail before
    assert state_bytes(slow) == state_bytes(whole)


def test_a_checkpoint_that_cannot_be_written_is_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was saved before stays."""
    with pytest.raises(Killed):
        fit(tmp_path, SHORT, losses=killer(7))

    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints, "_seal", full)
    with pytest.raises(ArtefactError, match=r"iteration-00000006\.pth: cannot be written \(No space left"):
        fit(tmp_path, SHORT)
    assert [path.name for path in (tmp_path / "work").iterdir() if path.is_file()] == [
        "iteration-00000003.pth"
    ]
