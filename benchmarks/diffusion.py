"""AD-CAM from cached co-neighbours against refining and applying the dense attention.

One view of 32x42 tokens (512x672 pixels), two classes, k = 50 and a fifth of all tokens, two steps, in each
direction; and the features' affinity beside the mean of twelve blocks. Run: python benchmarks/diffusion.py
"""

import torch
from common import report, timed

from wsss.methods.attention import aggregate_attention, feature_affinity, transcam
from wsss.methods.diffusion import (
    DIRECTIONS,
    diffuse,
    nearest_coneighbours,
    refine_attention,
    token_count,
    transition_from_neighbours,
)

TOKENS, CLASSES, CACHED, STEPS = 32 * 42, 2, {50: 100, 0.2: 0.2}, 2
BLOCKS, FEATURES = 12, 192


def main() -> None:
    generator = torch.Generator().manual_seed(0)
    attention = (4 * torch.rand(TOKENS, TOKENS, generator=generator)).softmax(1)
    maps = torch.rand(CLASSES, TOKENS, generator=generator)
    for k, cached in CACHED.items():
        listed = token_count(cached, TOKENS)
        index, values = nearest_coneighbours(attention, listed)
        for direction in DIRECTIONS:
            compare(attention, maps, index, values.half(), k, direction)
        small, large = listed * (2 + 2) * TOKENS, 4 * TOKENS**2
        print(f"  stored a view: {small / 1e6:.2f} MB in the cache, {large / 1e6:.2f} MB dense")
    relations(generator, maps)


def compare(
    attention: torch.Tensor,
    maps: torch.Tensor,
    index: torch.Tensor,
    stored: torch.Tensor,
    k: float,
    direction: str,
) -> None:
    def cached() -> torch.Tensor:
        transition = transition_from_neighbours(index, stored.float(), k, direction=direction)
        return diffuse(maps, transition, STEPS, direction=direction)

    def dense() -> torch.Tensor:
        return diffuse(maps, refine_attention(attention, k), STEPS, direction=direction)

    ours, spread = timed(cached, repeats=5)
    plain, expected = timed(dense, repeats=5)
    difference = float((spread - expected).abs().max() / expected.abs().max())
    report(
        f"{direction}, {TOKENS} tokens, k = {k}, {torch.get_num_threads()} threads", ours, plain, difference
    )


def relations(generator: torch.Generator, maps: torch.Tensor) -> None:
    blocks = (4 * torch.rand(BLOCKS, TOKENS + 1, TOKENS + 1, generator=generator)).softmax(-1)
    features = torch.randn(TOKENS, FEATURES, generator=generator)
    mean, matrix = timed(lambda: aggregate_attention(blocks), repeats=5)
    likeness, _ = timed(lambda: feature_affinity(features, beta=1.2, gamma=3.0), repeats=5)
    summed, _ = timed(lambda: transcam(maps, blocks), repeats=5)
    listing, _ = timed(lambda: nearest_coneighbours(matrix, 100), repeats=5)
    print(
        f"  a view: mean of {BLOCKS} blocks {mean:.3f} s, affinity of features {likeness:.3f} s, "
        f"transcam {summed:.3f} s, 100 co-neighbours {listing:.3f} s"
    )


if __name__ == "__main__":
    main()
