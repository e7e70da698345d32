"""The training engine: learning, determinism, resuming, schedules and what it leaves behind."""

import itertools
import logging
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.golden import assert_close_to_golden
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
from wsss.artefacts.files import work_folder
from wsss.artefacts.formats import read_table
from wsss.training import Schedule, TrainingError, train
from wsss.training.checkpoints import newest_whole
from wsss.training.hooks import History, LossRange
from wsss.training.schedule import PolynomialLR, base_rate, epochs_to_iterations, polynomial


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_the_loss_falls_and_the_network_comes_back_in_eval_mode(tmp_path: Path, optimizer: Any) -> None:
    network = fit(tmp_path, Schedule(iterations=60, batch=6, optimizer=optimizer))
    history = read_table(tmp_path / "history.csv")
    assert history["toy_loss"][-10:].mean() < 0.5 * history["toy_loss"][:10].mean()
    assert not network.training


def test_the_history_has_a_row_an_iteration_and_no_time(tmp_path: Path) -> None:
    fit(tmp_path, SHORT)
    history = read_table(tmp_path / "history.csv")
    assert list(history) == ["iteration", "loss", "toy_loss", "share", "first_lr", "rest_lr"]
    assert history["iteration"].tolist() == list(range(1, 13))
    assert (history["loss"] == history["toy_loss"]).all()
    assert (history["first_lr"] == 0.05).all()
    expected = [polynomial(0.1, i, 12, 0.9) for i in range(12)]
    np.testing.assert_allclose(history["rest_lr"], expected, rtol=1e-9)


def test_tensorboard_events_are_written(tmp_path: Path) -> None:
    fit(tmp_path, SHORT)
    (events,) = (tmp_path / "events").iterdir()
    assert "tfevents" in events.name and events.stat().st_size > 500


def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not(tmp_path: Path) -> None:
    first, second = fit(tmp_path / "a", SHORT), fit(tmp_path / "b", SHORT)
    other = fit(tmp_path / "c", SHORT, seed=2)
    assert state_bytes(first) == state_bytes(second)
    assert state_bytes(first) != state_bytes(other)
    assert (tmp_path / "a/history.csv").read_bytes() == (tmp_path / "b/history.csv").read_bytes()


def test_accumulated_half_batches_equal_whole_batches(tmp_path: Path) -> None:
    def plain() -> nn.Module:
        return toy(dropout=0.0, norm=False)

    whole = fit(tmp_path / "a", Schedule(iterations=10, batch=6), network=plain())
    halves = fit(tmp_path / "b", Schedule(iterations=10, batch=3, accumulate=2), network=plain())
    for one, other in zip(whole.parameters(), halves.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("passes", [1, 7, 13, 21])
def test_a_killed_training_resumes_to_the_uninterrupted_bytes(tmp_path: Path, passes: int) -> None:
    with pytest.raises(Killed):
        fit(tmp_path / "killed", SHORT, losses=killer(passes))
    seen: list[int] = []

    def counted(network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        seen.append(1)
        return toy_losses(network, batch)

    resumed = fit(tmp_path / "killed", SHORT, losses=counted)
    whole = fit(tmp_path / "whole", SHORT)
    assert len(seen) == 24 - passes // 6 * 6  # what lies before the last checkpoint is not done again
    assert state_bytes(resumed) == state_bytes(whole)
    assert (tmp_path / "killed/history.csv").read_bytes() == (tmp_path / "whole/history.csv").read_bytes()


@pytest.mark.parametrize("left", [0, 100, -1])
def test_a_cut_checkpoint_is_skipped_for_the_one_before(tmp_path: Path, left: int) -> None:
    with pytest.raises(Killed):
        fit(tmp_path / "killed", SHORT, losses=killer(21))
    work = tmp_path / "killed/work"
    newest = work / "iteration-00000009.pth"
    newest.write_bytes(newest.read_bytes()[:left])
    before = newest_whole(work)
    assert before is not None and before.path.name == "iteration-00000006.pth"
    whole = fit(tmp_path / "whole", SHORT)
    assert state_bytes(fit(tmp_path / "killed", SHORT)) == state_bytes(whole)


def test_two_checkpoints_are_kept_and_nothing_unfinished(tmp_path: Path) -> None:
    fit(tmp_path, SHORT)
    files = sorted(path.name for path in (tmp_path / "work").iterdir() if path.is_file())
    assert files == ["iteration-00000009.pth", "iteration-00000012.pth"]


def test_a_loss_that_is_not_finite_ends_the_training(tmp_path: Path) -> None:
    def broken(network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"toy_loss": toy_losses(network, batch)["toy_loss"] * float("nan")}

    with pytest.raises(TrainingError, match=r"loss is nan at iteration 1: .* lower the learning rate"):
        fit(tmp_path, SHORT, losses=broken)


def test_progress_is_a_few_plain_lines_without_a_terminal(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    fit(tmp_path, Schedule(iterations=100, batch=2))
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 20 and lines[-1].startswith("pass 100 of 100: loss ")
    assert "".join(capfd.readouterr()) == ""


def test_adam_adds_the_decay_to_the_gradient(tmp_path: Path) -> None:
    """With no other gradient its first step has the rate's length; AdamW would shrink the weight instead."""
    network = toy()
    before = network[0].weight.detach().clone()

    def nothing(network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"toy_loss": 0 * sum(parameter.sum() for parameter in network.parameters())}

    fit(tmp_path, Schedule(iterations=1, batch=2, optimizer="adam"), network=network, losses=nothing)
    gradient = 1e-4 * before
    torch.testing.assert_close(network[0].weight, before - 0.05 * gradient / (gradient.abs() + 1e-8))


# ------------------------------------------------------------------------- a loss that has left its range


def growing(start: int, *, to: float = 1e6) -> Callable[[nn.Module, dict[str, Tensor]], dict[str, Tensor]]:
    """A loss of 2 that is ``to`` from forward pass ``start`` on (counted from 0)."""
    passes = itertools.count()

    def losses(network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        value = to if next(passes) >= start else 2.0
        return {"toy_loss": value + 0 * network(batch["inputs"]).sum()}

    return losses


@pytest.mark.parametrize(
    ("iterations", "start", "ends", "window"),
    [(40, 7, 13, 10), (80, 74, 80, 10), (8, 2, 5, 5), (8, 7, None, 5), (4, 0, None, 5)],
    ids=["middle", "just before the end", "short", "last update alone", "too short to judge"],
)
def test_a_loss_that_left_its_range_for_good_ends_the_training(
    tmp_path: Path, iterations: int, start: int, ends: int | None, window: int
) -> None:
    schedule = Schedule(iterations, batch=2)
    if ends is None:
        fit(tmp_path, schedule, losses=growing(start))
        return
    message = (
        rf"left its range for good: it is 1e\+06 at iteration {ends} \(median of the last {window} updates\) "
        r"and was 2 at the first; expected at most 10 times that.* Lower the learning rate"
    )
    with pytest.raises(TrainingError, match=message):
        fit(tmp_path, schedule, losses=growing(start))
    assert not (tmp_path / "history.csv").exists()


@pytest.mark.parametrize("killed", [5, 9, 21])
def test_a_resumed_training_judges_its_loss_as_an_undisturbed_one(tmp_path: Path, killed: int) -> None:
    """Two passes an update; the loss is high from update 8 on, in 3 of the last 5 of them in update 10."""
    schedule = Schedule(iterations=16, batch=4, accumulate=2, checkpoints=5)
    with pytest.raises(TrainingError, match="at iteration 10 ") as whole:
        fit(tmp_path / "whole", schedule, losses=growing(14))
    with pytest.raises((Killed, TrainingError)):
        fit(tmp_path / "killed", schedule, losses=killer(killed, growing(14)))
    before = newest_whole(tmp_path / "killed/work")
    done = before.passes if before else 0
    with pytest.raises(TrainingError) as resumed:
        fit(tmp_path / "killed", schedule, losses=growing(14 - done))
    assert str(resumed.value) == str(whole.value)


def judged(losses: list[float], total: int) -> tuple[float, float, int] | None:
    ranged = LossRange(total)
    for loss in losses:
        ranged.add(loss)
    return ranged.left()


NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("losses", "total", "found"),
    [
        ([2.0] * 100 + [21.0] * 51, 1000, (2.0, 21.0, 100)),  # 51 of 100 updates are above 20
        ([2.0] * 100 + [21.0] * 50, 1000, None),
        ([2.0] * 100 + [20.0] * 100, 1000, None),  # ten times is still in range
        ([2.0] * 150 + [1e15] * 10 + [2.0] * 10, 1000, None),  # a spike that fixes itself
        (
            [18.0] + [1e15] * 99,
            1000,
            (18.0, 1e15, 100),
        ),  # out of range before any window is full
        ([18.0] + [1e15] * 98, 1000, None),
        ([0.01] * 100 + [9.0] * 100, 1000, None),  # tiny at first: below chance it may come and go
        ([0.01] * 100 + [11.0] * 100, 1000, (0.01, 11.0, 100)),
        ([-5.0] * 100 + [2.0] * 100, 1000, None),
        ([-5.0] * 100 + [12.0] * 100, 1000, (-5.0, 12.0, 100)),
        ([0.7] * 100 + [1.2] * 100, 1000, None),  # a further term of the loss, as APC's decoder
        ([NAN, 3.0] + [NAN] * 30 + [40.0] * 68, 1000, (3.0, 40.0, 100)),  # mixed precision skips some
        ([NAN] * 100, 1000, (INF, INF, 100)),
        ([2.0] * 100 + [INF] * 99 + [2.0], 1000, (2.0, INF, 100)),  # finite again, but hardly
        ([2.0] * 100 + [INF, 2.0] * 50, 1000, None),  # half of them: the loss scaler may fix it
        ([2.0] * 100 + [INF, 2.0] * 49 + [INF, -INF], 1000, (2.0, INF, 100)),
        ([2.0] * 100 + [INF, 30.0, NAN] * 34, 1000, (2.0, INF, 100)),
        ([2.0] * 900 + [INF] * 49, 949, (2.0, INF, 10)),  # over: the last ten must be finite, mostly
        ([2.0] * 900 + [INF] * 49, 1000, None),
        ([2.0] * 944 + [INF] * 5, 949, None),
        ([2.0] * 943 + [INF] * 5 + [30.0], 949, (2.0, 30.0, 10)),
        ([2.0] * 900 + [2.0] * 90 + [30.0] * 10, 1000, (2.0, 30.0, 10)),  # over: the last ten decide
        ([2.0] * 30 + [30.0] * 8, 60, (2.0, 30.0, 15)),  # a quarter of a short training
        ([2.0] * 30 + [30.0] * 7, 60, None),
        ([2.0, 30.0, 30.0, 30.0], 4, None),
        ([2.0, 2.0, 30.0, 30.0, 30.0], 5, (2.0, 30.0, 5)),
    ],
)
def test_out_of_range(losses: list[float], total: int, found: tuple[float, float, int] | None) -> None:
    assert judged(losses, total) == found


def recorded(record: History, losses: list[float], start: int = 0) -> int:
    """Updates that a tolerant record, as under mixed precision, lets pass."""
    runner: Any = SimpleNamespace(iter=start, visualizer=SimpleNamespace(add_scalars=lambda *_, **__: None))
    for loss in losses:
        record.after_train_iter(runner, 0, outputs={"loss": torch.tensor(loss)})
        runner.iter += 1
    return len(record.rows)


def tolerant(total: int) -> History:
    weights = [{"params": [nn.Parameter(torch.zeros(1))], "name": "all", "lr": 0.1}]
    return History(torch.optim.SGD(weights), total, 1, tolerant=True)


@pytest.mark.parametrize("stop", [1, 60, 130, 148])
def test_losses_that_are_never_finite_for_long_end_a_training_of_mixed_precision(stop: int) -> None:
    """From update 101 on two of three are not: 51 of the last 100 after update 176."""
    losses = [2.0] * 100 + [INF, NAN, 2.0] * 40
    message = r"it is inf at iteration 176 \(median of the last 100 updates\) .* or set precision: full"
    with pytest.raises(TrainingError, match=message) as whole:
        recorded(tolerant(1000), losses)
    first = tolerant(1000)
    recorded(first, losses[:stop])
    checkpoint: dict[str, Any] = {}
    runner: Any = None
    first.before_save_checkpoint(runner, checkpoint)
    resumed = tolerant(1000)
    resumed.after_load_checkpoint(runner, checkpoint)
    with pytest.raises(TrainingError) as again:
        recorded(resumed, losses[stop:], stop)
    assert str(again.value) == str(whole.value)


def test_the_cost_of_a_judgement_does_not_grow() -> None:
    """Only the window is kept of what was, whatever the length of the training."""
    ranged = LossRange(100_000)
    for _ in range(20_000):
        ranged.add(2.0)
        assert ranged.left() is None
    assert len(ranged.last) == 100


@pytest.mark.parametrize("scale", [1.5, 30.0])
def test_ranges_scale_with_the_first_loss(scale: float) -> None:
    """Above the floor nothing depends on the unit of the loss."""
    rng = np.random.default_rng(0)
    for level in (5.0, 9.0, 11.0, 40.0):
        losses = [
            1.0,
            *rng.uniform(0.99, 1.01, 50).tolist(),
            *(level * rng.uniform(0.99, 1.01, 120)).tolist(),
        ]
        assert (judged(losses, 500) is None) == (level < 10)
        assert (judged([scale * loss for loss in losses], 500) is None) == (level < 10)


# --------------------------------------------------------------------------------------------------- phases

REST = 5  # iterations in which the first layer rests and the loss is halved


class InPhases:
    """A toy that trains in two phases; remembers the iterations it was told of."""

    def __init__(self, after: int | None = None) -> None:
        self.network, self.told = toy(), list[int]()
        self.left = after

    def begin(self, iteration: int) -> None:
        self.told.append(iteration)
        self.network[0].requires_grad_(iteration >= REST)

    def losses(self, network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Killed
        losses = toy_losses(network, batch)
        return {**losses, "toy_loss": losses["toy_loss"] * (0.5 if self.told[-1] < REST else 1)}

    def fit(self, folder: Path, iterations: int = 12) -> nn.Module:
        (folder / "work").mkdir(parents=True, exist_ok=True)
        first, rest = groups(self.network)
        return train(
            self.network,
            self.losses,
            Points(),
            [{**first, "lr": 0.0, "changes": [(REST, 0.01)]}, {**rest, "changes": [(REST, 0.02)]}],
            Schedule(iterations, batch=4, accumulate=2, optimizer="adam", checkpoints=iterations // 3),
            seed=1,
            work=folder / "work",
            history=folder / "history.csv",
            events=folder / "events",
            at_iteration=self.begin,
        )


def test_each_pass_is_told_the_optimiser_steps_done(tmp_path: Path) -> None:
    phases = InPhases()
    phases.fit(tmp_path)
    assert phases.told == [step for step in range(12) for _ in range(2)]


def test_a_phase_leaves_what_rests_and_changes_the_rates(tmp_path: Path) -> None:
    resting = InPhases().fit(tmp_path / "a", REST + 1)
    start, trained = toy(), InPhases().fit(tmp_path / "b")
    assert torch.equal(InPhases().fit(tmp_path / "c", 3)[0].weight, start[0].weight)
    assert not torch.equal(resting[0].weight, start[0].weight)  # one step after the rest
    assert not torch.equal(trained[0].weight, resting[0].weight)
    history = read_table(tmp_path / "b/history.csv")
    assert history["first_lr"].tolist() == [0.0] * REST + [0.01] * 7
    expected = [polynomial(0.1 if i < REST else 0.02, i, 12, 0.9) for i in range(12)]
    np.testing.assert_allclose(history["rest_lr"], expected, rtol=1e-9)


# Checkpoints lie after 6, 12, 18 passes: nothing done, in the first phase, across its end, in the second.
@pytest.mark.parametrize("passes", [1, 7, 11, 13, 21])
def test_a_training_killed_in_any_phase_resumes_to_the_uninterrupted_bytes(
    tmp_path: Path, passes: int
) -> None:
    with pytest.raises(Killed):
        InPhases(after=passes).fit(tmp_path / "killed")
    again = InPhases()
    resumed, whole = again.fit(tmp_path / "killed"), InPhases().fit(tmp_path / "whole")
    assert again.told[0] == passes // 6 * 3
    assert state_bytes(resumed) == state_bytes(whole)
    assert (tmp_path / "killed/history.csv").read_bytes() == (tmp_path / "whole/history.csv").read_bytes()


# ------------------------------------------------------------------------------------------------ schedules


def test_the_last_change_that_has_come_gives_the_rate() -> None:
    changes = [(2, 0.5), (5, 0.1)]
    assert [base_rate(1.0, changes, i) for i in range(7)] == [1.0, 1.0, 0.5, 0.5, 0.5, 0.1, 0.1]
    assert base_rate(1.0, (), 3) == 1.0
    assert base_rate(1.0, [(0, 0.2)], 0) == 0.2


@pytest.mark.parametrize(("name", "total"), [("polylr_voc12", 20000), ("polylr_imagenet", 30000)])
def test_deeplab_schedule(golden: Any, name: str, total: int) -> None:
    rows = golden("deeplab")[name]
    rates = [
        [polynomial(base, int(i), total, 0.9, 10) for base in (2.5e-4, 2.5e-3, 5e-3)] for i in rows[:, 0]
    ]
    for column in range(3):
        assert_close_to_golden(np.array(rates)[:, column], rows[:, column + 1], 1e-9)


def test_irn_optimiser_trace(golden: Any) -> None:
    """SGD whose momentum is 1e-4 under the polynomial of seven steps; the last rate stays."""
    one = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    two = nn.Parameter(torch.tensor([0.5, 3.0], dtype=torch.float64))
    settings = {"weight_decay": 1e-4, "power": 0.9}
    optimizer = torch.optim.SGD(
        [{"params": [one], "lr": 0.1, **settings}, {"params": [two], "lr": 1.0, **settings}], momentum=1e-4
    )
    scheduler = PolynomialLR(optimizer, total=7)
    trace = []
    for step in range(9):
        optimizer.zero_grad()
        (0.5 * (one**2).sum() + 0.1 * (two[0] - two[1]) ** 2).backward()
        rates = [group["lr"] for group in optimizer.param_groups]
        optimizer.step()
        trace.append([*rates, *one.tolist(), *two.tolist()])
        if step < 6:
            scheduler.step()
    expected = golden("irn")["polyopt_trace"]
    for column in range(6):
        assert_close_to_golden(np.array(trace)[:, column], expected[:, column], 1e-9)


def test_the_schedule_counts_optimiser_steps_not_passes() -> None:
    optimizer = torch.optim.SGD([{"params": [nn.Parameter(torch.zeros(1))], "lr": 1.0, "power": 1.0}])
    scheduler = PolynomialLR(optimizer, total=4, step=2, accumulate=3)
    rates = []
    for _ in range(12):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == [1.0] * 6 + [0.5] * 6


def test_epochs_are_rounded_up_to_whole_iterations() -> None:
    assert epochs_to_iterations(3, 33, 16) == 9
    with pytest.raises(ValueError, match="found none"):
        epochs_to_iterations(3, 0, 16)


@pytest.mark.parametrize(
    ("field", "value"), [("iterations", 0), ("accumulate", 0), ("optimizer", "lion"), ("precision", "half")]
)
def test_the_schedule_refuses(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{field}: expected .*, found {value!r}"):
        Schedule(**{"iterations": 1, "batch": 1, field: value})


# ---------------------------------------------------------------------------------------------- work folder


def test_the_work_folder_is_kept_on_failure_and_removed_on_success(tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    with pytest.raises(Killed), work_folder(weights, {"seed": 1}) as first:
        raise Killed
    with pytest.raises(Killed), work_folder(weights, {"seed": 2}) as other:
        raise Killed
    assert first.is_dir() and other.is_dir() and first != other
    with work_folder(weights, {"seed": 1}) as again:
        assert again == first
    assert not list(tmp_path.iterdir())
