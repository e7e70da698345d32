"""IRN's training labels in a pool of processes against one process after the other.

Images of VOC's size with two classes; two dense CRFs an image. Run: python benchmarks/crf_pool.py
"""

import os

import numpy as np
from common import report, timed
from numpy.typing import NDArray

from wsss.config.networks import Crf
from wsss.methods.labels import irn_labels
from wsss.runtime.process_pool import parallel_map

CRF = Crf(
    iterations=10,
    gaussian_sxy=3,
    gaussian_compat=3,
    bilateral_sxy=50,
    bilateral_srgb=5,
    bilateral_compat=10,
)
IMAGES, HEIGHT, WIDTH = 16, 375, 500


def labels(seed: int) -> NDArray[np.uint8]:
    """Labels of one generated image: noise around two soft discs."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    centres = rng.uniform(100, 275, (2, 2))
    maps = np.exp(-((y - centres[:, :1, None]) ** 2 + (x - centres[:, 1:, None]) ** 2) / 20000).astype(
        np.float32
    )
    noise = rng.integers(0, 40, (HEIGHT, WIDTH, 3))
    image = (200 * maps.max(0)[..., None] + noise).astype(np.uint8)
    return irn_labels(image, maps, [0, 1], foreground=0.3, background=0.05, gt_prob=0.7, crf=CRF)


def main() -> None:
    workers = len(os.sched_getaffinity(0))
    ours, pooled = timed(lambda: list(parallel_map(labels, range(IMAGES), workers)))
    plain, single = timed(lambda: [labels(seed) for seed in range(IMAGES)])
    difference = max(float((a != b).mean()) for a, b in zip(pooled, single, strict=True))
    report(f"CRF labels of {IMAGES} images, {workers} processes", ours, plain, difference)


if __name__ == "__main__":
    main()
