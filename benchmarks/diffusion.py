"""AD-CAM from cached co-neighbours against refining and applying the dense attention.

One view of 32x42 tokens (512x672 pixels), two classes, k = 50, two steps. Run: python benchmarks/diffusion.py
"""

import torch
from common import report, timed

from wsss.methods.diffusion import diffuse, nearest_coneighbours, refine_attention, transition_from_neighbours

TOKENS, CLASSES, NEIGHBOURS, CACHED, STEPS = 32 * 42, 2, 50, 64, 2


def main() -> None:
    generator = torch.Generator().manual_seed(0)
    attention = (4 * torch.rand(TOKENS, TOKENS, generator=generator)).softmax(1)
    maps = torch.rand(CLASSES, TOKENS, generator=generator)
    index, values = nearest_coneighbours(attention, CACHED)
    stored = values.half()

    def cached() -> torch.Tensor:
        return diffuse(maps, transition_from_neighbours(index, stored.float(), NEIGHBOURS), STEPS)

    def dense() -> torch.Tensor:
        return diffuse(maps, refine_attention(attention, NEIGHBOURS), STEPS)

    ours, spread = timed(cached, repeats=5)
    plain, expected = timed(dense, repeats=5)
    difference = float((spread - expected).abs().max() / expected.abs().max())
    report(f"diffusion of {TOKENS} tokens, {torch.get_num_threads()} threads", ours, plain, difference)
    small, large = CACHED * (2 + 2) * TOKENS, 4 * TOKENS**2
    print(f"  stored a view: {small / 1e6:.2f} MB in the cache, {large / 1e6:.2f} MB dense")


if __name__ == "__main__":
    main()
