"""The order in which training sees the images: a function of the seed and the position alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler


class Sample(NamedTuple):
    """The ``position`` in the endless stream of training samples, and the ``index`` of the image there."""

    position: int
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody asks of a sample


class PositionSampler(Sampler[Sample]):
    """An endless stream of samples, a new permutation of the images each epoch.

    A stream that starts at ``start`` is what follows the first ``start`` samples of a stream from 0, so
    that resumed training sees what it would have seen.
    """

    def __init__(self, size: int, seed: int, start: int = 0) -> None:
        """Keep what defines the stream.

        Args:
            size: Number of images.
            seed: Seed of the permutations.
            start: Position of the first sample.
        """
        if size < 1:
            raise ValueError(f"expected at least one image to sample, found {size}")
        self.size, self.seed, self.start = size, seed, start

    def __iter__(self) -> Iterator[Sample]:
        """Yield samples without end."""
        first, offset = divmod(self.start, self.size)
        for epoch in itertools.count(first):
            order = np.random.default_rng([self.seed, epoch]).permutation(self.size)
            for place in range(offset if epoch == first else 0, self.size):
                yield Sample(epoch * self.size + place, int(order[place]))


class BatchShare(Sampler[Sample]):
    """One process's part of each batch of a stream, where several processes share the batches among them."""

    def __init__(self, stream: PositionSampler, part: int, rank: int, size: int) -> None:
        """Keep what defines the part.

        Args:
            stream: What a process on its own would see; starts with a batch.
            part: Samples that a process takes of each batch.
            rank: Number of this process, from 0.
            size: Number of processes; a batch has ``size * part`` samples.
        """
        self.stream, self.part, self.rank, self.size = stream, part, rank, size

    def __iter__(self) -> Iterator[Sample]:
        """Yield samples without end."""
        for place, sample in enumerate(self.stream):
            if place // self.part % self.size == self.rank:
                yield sample
