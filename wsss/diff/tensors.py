"""Differences between networks' weights, class maps, stored views and counts, read tensor by tensor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from wsss.artefacts.formats import ArtefactError, TensorShard, open_tensors
from wsss.diff.findings import Difference, Largest, Unpaired, number, percent, size, worst_images
from wsss.diff.pairing import Parts, shard_pairs


class Apart:
    """Adds up how far tensors of one kind are apart; knows which one is the furthest."""

    def __init__(self) -> None:
        self.total = self.scale = self.largest = 0.0
        self.indices = False
        self.cells = self.differing = 0
        self.where: str | None = None

    def add(self, name: str, a: Tensor, b: Tensor) -> float:
        """Add two tensors of one shape; returns the mean of their absolute differences."""
        one, other = a.double(), b.double()
        alike = (one == other) | (one.isnan() & other.isnan())
        apart = torch.where(alike, 0.0, (one - other).abs().nan_to_num(torch.inf, torch.inf))
        total, largest = float(apart.sum()), float(apart.max()) if apart.numel() else 0.0
        self.total += total
        self.indices = not a.is_floating_point()
        self.scale += float(one.nan_to_num(0, 0, 0).abs().sum())
        self.cells += apart.numel()
        self.differing += int((~alike).sum())
        if largest > self.largest:
            self.largest, self.where = largest, name
        return total / max(apart.numel(), 1)

    @property
    def mean(self) -> float:
        """Mean of the absolute differences."""
        return self.total / max(self.cells, 1)

    def text(self) -> str:
        """The amounts in a few words; of indices only how many differ, because far means nothing there."""
        share = f"{percent(self.differing / max(self.cells, 1))} of the entries"
        return share if self.indices else f"mean {size(self.mean)}, {share}"

    def amounts(self) -> dict[str, Any]:
        """The amounts as JSON values."""
        return {
            "largest": number(self.largest),
            "largest_in": self.where,
            "mean": number(self.mean),
            "mean_relative": number(self.total / self.scale) if self.scale else None,
            "share_differing": self.differing / max(self.cells, 1),
        }


class Shards:
    """Several open shards as one: tensors by name, wherever they lie."""

    def __init__(self, shards: list[TensorShard]) -> None:
        self._paths = ", ".join(str(shard.path) for shard in shards)
        self._where = {name: shard for shard in shards for name in shard.keys()}  # noqa: SIM118

    def __contains__(self, name: object) -> bool:
        return name in self._where

    def names(self) -> set[str]:
        """Names of all tensors."""
        return set(self._where)

    def get(self, name: str) -> Tensor:
        """Read one tensor."""
        if name not in self._where:
            raise ArtefactError(f"{self._paths}: no tensor {name!r}; remove it and run again")
        return self._where[name].get(name)


@contextmanager
def opened(parts: Parts, form: str) -> Iterator[Shards]:
    """Open some shards of one form."""
    with ExitStack() as stack:
        yield Shards([stack.enter_context(open_tensors(path, form)) for path in parts.values()])


@contextmanager
def both(a: Parts, b: Parts, form: str) -> Iterator[tuple[Shards, Shards]]:
    """Open shards of two sides."""
    with opened(a, form) as one, opened(b, form) as other:
        yield one, other


def compare_weights(a: Parts, b: Parts) -> Difference:
    """Largest and mean difference of two networks' weights, over the tensors that both have."""
    apart, unpaired = Apart(), Unpaired("tensor")
    for name, one, other in _pairs(a, b, "weights", unpaired):
        apart.add(name, one, other)
    share = f", {percent(apart.total / apart.scale)} of the mean weight" if apart.scale else ""
    text = f"largest {size(apart.largest)} ({apart.where}), mean {size(apart.mean)}{share}"
    return _difference(apart.differing == 0, text, apart.amounts(), unpaired.notes())


def _pairs(a: Parts, b: Parts, form: str, unpaired: Unpaired) -> Iterator[tuple[str, Tensor, Tensor]]:
    """The tensors that both sides have in one shape, by name; the others are counted."""
    for parts in shard_pairs(a, b):
        with both(*parts, form) as (one, other):
            for name in sorted(one.names() | other.names()):
                if not unpaired.meet(name in one, name in other):
                    continue
                pair = one.get(name), other.get(name)
                if pair[0].shape == pair[1].shape:
                    yield name, *pair
                else:
                    unpaired.reshape()


def _difference(
    agree: bool, text: str, amounts: dict[str, Any], notes: list[str], largest: Largest | None = None
) -> Difference:
    worst = largest.found() if largest else []
    return Difference(agree and not notes, "" if agree else text, amounts, notes, worst)


def compare_maps(a: Parts, b: Parts) -> Difference:
    """Mean absolute difference and rank correlation of class maps, and the images furthest apart.

    The maps of an image are set side by side for the classes that both sides have.
    """
    apart, unpaired, largest = Apart(), Unpaired(), Largest()
    ranks: list[float | None] = []
    for parts in shard_pairs(a, b):
        with both(*parts, "maps") as (one, other):
            for image in sorted(_images(one) | _images(other)):
                name = f"{image}/maps"
                if not unpaired.meet(name in one, name in other):
                    continue
                maps = shared_maps(one, other, image)
                if maps is None:
                    unpaired.reshape()
                    continue
                largest.add(image, apart.add(image, *maps))
                ranks.append(rank_correlation(*maps))
    worst = largest.found()
    known = [rank for rank in ranks if rank is not None]
    rank = fmean(known) if known else None
    amounts = {**apart.amounts(), "rank_correlation": rank, "images": len(ranks)}
    named = f", worst {worst_images(worst, size)}" if worst else ""
    shown = "unknown" if rank is None else f"{rank:.4f}"
    text = f"mean {size(apart.mean)}, rank correlation {shown}{named}"
    return _difference(apart.differing == 0, text, amounts, unpaired.notes(), largest)


def _images(shards: Shards) -> set[str]:
    return {name.removesuffix("/maps") for name in shards.names() if name.endswith("/maps")}


def shared_maps(one: Shards, other: Shards, image: str) -> tuple[Tensor, Tensor] | None:
    """The maps (K, h, w) of the classes that both sides have; None where no two can be laid on each other."""
    classes = [shards.get(f"{image}/classes").tolist() for shards in (one, other)]
    maps = [shards.get(f"{image}/maps") for shards in (one, other)]
    if classes[0] != classes[1]:
        shared = sorted(set(classes[0]) & set(classes[1]))
        if not shared:
            return None
        maps = [part[[own.index(label) for label in shared]] for part, own in zip(maps, classes, strict=True)]
    return (maps[0], maps[1]) if maps[0].shape == maps[1].shape else None


def rank_correlation(a: Tensor, b: Tensor) -> float | None:
    """Spearman's correlation of two maps' cells, equal values sharing a mean rank; None where one is flat.

    Args:
        a: Any shape.
        b: Of the same shape.
    """
    one, other = (_ranks(part.double().flatten()) for part in (a, b))
    one, other = one - one.mean(), other - other.mean()
    scale = float(one.square().sum() * other.square().sum()) ** 0.5  # NaN where there are no cells
    return float(one @ other) / scale if scale > 0 else None


def _ranks(values: Tensor) -> Tensor:
    """Mean rank of each value, counted from 1, float64 (N,)."""
    ordered = values.sort().values
    below, upto = (torch.searchsorted(ordered, values, right=right) for right in (False, True))
    return (below + upto + 1).double() / 2


def compare_views(a: Parts, b: Parts, form: str) -> Difference:
    """Differences of what was stored of the views, by kind: activations, co-neighbours, attention."""
    kinds: dict[str, Apart] = {}
    unpaired = Unpaired("tensor")
    for name, one, other in _pairs(a, b, form, unpaired):
        image, _, kind = name.rpartition("/")
        kinds.setdefault(kind.rstrip("0123456789"), Apart()).add(image, one, other)
    differing = {kind: apart for kind, apart in kinds.items() if apart.differing}
    text = "; ".join(f"{kind} {apart.text()}" for kind, apart in differing.items())
    amounts = {kind: apart.amounts() for kind, apart in kinds.items()}
    return _difference(not differing, text, amounts, unpaired.notes())


def compare_counts(a: Parts, b: Parts) -> Difference:
    """Share of the counted pixels that another pair of true and predicted label holds."""
    one, other = _added(a), _added(b)
    if one.shape != other.shape:
        shapes = f"counts of shape {list(one.shape)} in A, {list(other.shape)} in B"
        return Difference(False, notes=[f"{shapes}: not comparable"])
    # a pixel that moved is missing in one cell and too many in another
    moved = int((one - other).abs().sum()) / 2
    share = moved / max(int(one.sum()), int(other.sum()), 1)
    text = f"{percent(share)} of the counted pixels moved"
    return _difference(moved == 0, text, {"share_moved": share}, [])


def _added(parts: Parts) -> Tensor:
    """Counts of all shards, int64 (T, C, C)."""
    total: Tensor | int = 0
    for path in parts.values():
        with open_tensors(path, "counts") as shard:
            total = total + shard.get("counts")
    return torch.as_tensor(total)
