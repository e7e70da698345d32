"""Differences between networks' weights, class maps, stored views and counts, read tensor by tensor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from statistics import fmean
from typing import Any, TypeAlias

import torch
from torch import Tensor

from wsss.artefacts.formats import TensorShard, open_tensors
from wsss.diff.findings import Difference, largest, named, paired, percent, reshaped, size
from wsss.diff.pairing import Parts

# The open file that holds a tensor, by the tensor's name.
Shards: TypeAlias = Mapping[str, TensorShard]


class Apart:
    """Adds up how far tensors of one kind are apart; knows which one is the furthest."""

    def __init__(self) -> None:
        self.total = self.scale = self.largest = 0.0
        self.cells = self.differing = 0
        self.where: str | None = None
        self.indices = False

    def add(self, name: str, a: Tensor, b: Tensor) -> float:
        """Add two tensors of one shape; returns the mean of their absolute differences."""
        one, other = a.double(), b.double()
        alike = (one == other) | (one.isnan() & other.isnan())
        apart = torch.where(alike, 0.0, (one - other).abs().nan_to_num(torch.inf, torch.inf))
        total, furthest = float(apart.sum()), float(apart.max()) if apart.numel() else 0.0
        self.total += total
        self.scale += float(one.nan_to_num(0, 0, 0).abs().sum())
        self.cells += apart.numel()
        self.differing += int((~alike).sum())
        self.indices = not a.is_floating_point()
        if furthest > self.largest:
            self.largest, self.where = furthest, name
        return total / max(apart.numel(), 1)

    def amounts(self) -> dict[str, Any]:
        """The amounts by name."""
        return {
            "largest": self.largest,
            "largest_in": self.where,
            "mean": self.total / max(self.cells, 1),
            "mean_relative": self.total / self.scale if self.scale else None,
            "share_differing": self.differing / max(self.cells, 1),
        }

    def __str__(self) -> str:
        """The amounts in a few words; of indices only how many differ, because far means nothing there."""
        amounts = self.amounts()
        share = f"{percent(amounts['share_differing'])} of the entries"
        if self.indices:
            return share
        relative = f", {percent(amounts['mean_relative'])} of the mean value" if self.scale else ""
        return f"largest {size(self.largest)} ({self.where}), mean {size(amounts['mean'])}{relative}, {share}"


@contextmanager
def opened(parts: Parts, form: str) -> Iterator[Shards]:
    """Open some shards of one form."""
    with ExitStack() as stack:
        shards = [stack.enter_context(open_tensors(path, form)) for path in parts.values()]
        yield {name: shard for shard in shards for name in shard.keys()}  # noqa: SIM118 (not a mapping)


def compare_tensors(a: Parts, b: Parts, form: str) -> Difference:
    """Largest and mean differences by kind of tensor: weights, or activations, co-neighbours, attention."""
    kinds: dict[str, Apart] = {}
    unlike = 0
    with opened(a, form) as one, opened(b, form) as other:
        names, notes = paired(one, other, "tensor")
        for name in names:
            tensors = one[name].get(name), other[name].get(name)
            if tensors[0].shape != tensors[1].shape:
                unlike += 1
                continue
            image, _, kind = ("", "", form) if form == "weights" else name.rpartition("/")
            kinds.setdefault(kind.rstrip("0123456789"), Apart()).add(image or name, *tensors)
    text = "; ".join(f"{kind} {apart}" for kind, apart in kinds.items() if apart.differing)
    amounts = {kind: apart.amounts() for kind, apart in kinds.items()}
    return Difference(text, amounts.get(form, amounts), notes + reshaped(unlike, "tensor"))


def compare_maps(a: Parts, b: Parts) -> Difference:
    """Mean absolute difference and rank correlation of class maps, and the images furthest apart.

    The maps of an image are set side by side for the classes that both sides have.
    """
    apart, unlike = Apart(), 0
    means: dict[str, float] = {}
    ranks: list[float | None] = []
    with opened(a, "maps") as one, opened(b, "maps") as other:
        images, notes = paired(_images(one), _images(other), "image")
        for image in images:
            if (maps := shared_maps(one, other, image)) is None:
                unlike += 1
                continue
            means[image] = apart.add(image, *maps)
            ranks.append(rank_correlation(*maps))
    known, worst = [rank for rank in ranks if rank is not None], largest(means)
    amounts = {**apart.amounts(), "rank_correlation": fmean(known) if known else None, "images": len(ranks)}
    shown = f"{amounts['rank_correlation']:.4f}" if known else "unknown"
    text = f"mean {size(amounts['mean'])}, rank correlation {shown}, worst {named(worst, size)}"
    return Difference(text if apart.differing else "", amounts, notes + reshaped(unlike, "image"), worst)


def _images(shards: Shards) -> set[str]:
    return {name.removesuffix("/maps") for name in shards if name.endswith("/maps")}


def shared_maps(one: Shards, other: Shards, image: str) -> tuple[Tensor, Tensor] | None:
    """The maps (K, h, w) of the classes that both sides have; None where no two can be laid on each other."""
    shards = [side[f"{image}/maps"] for side in (one, other)]
    classes = [shard.get(f"{image}/classes").tolist() for shard in shards]
    a, b = (shard.get(f"{image}/maps") for shard in shards)
    if classes[0] != classes[1]:
        shared = sorted(set(classes[0]) & set(classes[1]))
        if not shared:
            return None
        a, b = (
            maps[[own.index(label) for label in shared]] for maps, own in zip((a, b), classes, strict=True)
        )
    return (a, b) if a.shape == b.shape else None


def rank_correlation(a: Tensor, b: Tensor) -> float | None:
    """Spearman's correlation of two maps' cells; None where one is flat.

    Args:
        a: Any shape.
        b: Of the same shape.
    """
    from scipy.stats import spearmanr  # takes a second to import

    if any(not part.numel() or bool((part == part.flatten()[0]).all()) for part in (a, b)):
        return None
    found = float(spearmanr(a.double().flatten(), b.double().flatten()).statistic)
    return None if found != found else found  # of cells that are no numbers


def compare_counts(a: Parts, b: Parts) -> Difference:
    """Share of the counted pixels that another pair of true and predicted label holds."""
    one, other = _added(a), _added(b)
    if one.shape != other.shape:
        shapes = f"counts of shape {list(one.shape)} in A, {list(other.shape)} in B"
        return Difference(notes=[f"{shapes}: not comparable"])
    # a pixel that moved is missing in one cell and too many in another
    share = int((one - other).abs().sum()) / 2 / max(int(one.sum()), int(other.sum()), 1)
    return Difference(
        f"{percent(share)} of the counted pixels moved" if share else "", {"share_moved": share}
    )


def _added(parts: Parts) -> Tensor:
    """Counts of all shards, int64 (T, C, C)."""
    counts = []
    for path in parts.values():
        with open_tensors(path, "counts") as shard:
            counts.append(shard.get("counts"))
    return torch.stack(counts).sum(0)
