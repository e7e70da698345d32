"""Random walk as 256 sparse steps against squaring the dense transition matrix eight times.

A 376x500 image at a quarter of its size, two classes. The dense way holds two matrices of 0.55 GB and takes
minutes. Numbers too small for float32's full precision are set to 0 for both: processors multiply them over a
hundred times more slowly, and the powers of the dense matrix are full of them.
Run: python benchmarks/random_walk.py
"""

import torch
import torch.nn.functional as F
from common import report, timed
from torch import Tensor

from wsss.methods.affinity import pair_affinity, random_walk

HEIGHT, WIDTH, CLASSES, REACH = 94, 125, 2, 4


def dense_walk(scores: Tensor, edge: Tensor, beta: float = 10.0, log2_steps: int = 8) -> Tensor:
    """The published way: a dense (N, N) matrix, normalised by column and squared."""
    transition = dense_affinity(edge).pow_(beta)
    transition /= transition.sum(0)
    for _ in range(log2_steps):
        transition = transition @ transition
    return ((scores * (1 - edge)).flatten(1) @ transition).view_as(scores)


def dense_affinity(edge: Tensor) -> Tensor:
    """Symmetric affinities of all pairs of pixels, zero out of reach, (N, N)."""
    padded = F.pad(edge, (REACH, REACH, 0, REACH), value=1.0)
    inner = F.pad(torch.arange(edge.numel()).view_as(edge), (REACH, REACH, 0, REACH), value=-1).flatten()
    affinity, pairs = pair_affinity(padded, REACH + 1)
    source, target = inner[pairs]
    inside = target >= 0
    dense = torch.eye(edge.numel())
    dense[source[inside], target[inside]] = affinity[inside]
    dense[target[inside], source[inside]] = affinity[inside]
    return dense


def main() -> None:
    torch.set_flush_denormal(True)  # before torch starts its threads, which inherit it
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(CLASSES, HEIGHT, WIDTH, generator=generator)
    edge = torch.rand(HEIGHT, WIDTH, generator=generator) ** 3
    ours, walked = timed(lambda: random_walk(scores, edge), repeats=5)
    exact = random_walk(scores.double(), edge.double())
    plain, expected = timed(lambda: dense_walk(scores, edge))
    difference = float((walked - expected).abs().max() / expected.abs().max())
    report(f"random walk {HEIGHT}x{WIDTH}, {torch.get_num_threads()} threads", ours, plain, difference)
    for name, result in (("ours", walked), ("plain", expected)):
        print(f"  {name} against float64: {float((result - exact).abs().max() / exact.abs().max()):.1e}")


if __name__ == "__main__":
    main()
