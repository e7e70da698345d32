"""Adaptive-K pooling and patch contrast, forward and backward, against loops over images and classes.

A batch of APC's training: 16 images of 24x24 patches, 21 classes with background, 768 features, two classes
an image. The plain pooling follows the published algorithm class by class; the plain contrast forms the
similarities of all pairs of patches. Run: python benchmarks/pooling.py
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from common import report, timed
from torch import Tensor

from wsss.methods.contrast import patch_contrast
from wsss.methods.pooling import adaptive_k_pool

BATCH, PATCHES, CLASSES, WIDTH = 16, 576, 21, 768
HIGH, LOW = 0.85, 0.15


def plain_pool(scores: Tensor, k: int = 6, ratio: float = 0.9) -> Tensor:
    """Sort each class of each image and let K grow score by score, (B, N, C) -> (B, C)."""
    return torch.stack([torch.stack([grown(column, k, ratio) for column in image.t()]) for image in scores])


def grown(column: Tensor, k: int, ratio: float) -> Tensor:
    """Mean of one class's K highest scores."""
    ranked = column.sort(descending=True).values
    while k < len(ranked) and ranked[k] >= ratio * ranked[0]:
        k += 1
    return ranked[:k].mean()


def plain_contrast(features: Tensor, scores: Tensor, tags: Tensor) -> Tensor:
    """Read each class's loss off the similarities of all patches of its image, (B, N, N)."""
    units = F.normalize(features, dim=2)
    images = []
    for similarity, score, tag in zip((1 + units @ units.mT) / 2, scores, tags, strict=True):
        classes = [pairs(similarity, score[:, index]) for index in tag.nonzero()[:, 0]]
        images.append(torch.stack(classes).mean())
    return torch.stack(images).mean()


def pairs(similarity: Tensor, score: Tensor) -> Tensor:
    """One class's loss; it has at least two high patches and a low one here."""
    sure, other = score > HIGH, score < LOW
    together = (1 - similarity[sure][:, sure])[~torch.eye(int(sure.sum()), dtype=torch.bool)]
    return together.mean() + similarity[sure][:, other].mean()


def compare(name: str, ours: Callable[[], Tensor], plain: Callable[[], Tensor], leaf: Tensor) -> None:
    """Time both ways and print the bytes each keeps for the backward pass."""

    def learned(function: Callable[[], Tensor]) -> Callable[[], Tensor]:
        return lambda: torch.autograd.grad(function().square().sum(), leaf)[0]

    seconds, gradient = timed(learned(ours), repeats=5)
    slower, expected = timed(learned(plain), repeats=3)
    difference = float((gradient - expected).abs().max() / expected.abs().max())
    report(f"{name}, {torch.get_num_threads()} threads", seconds, slower, difference)
    small, large = kept(ours, leaf), kept(plain, leaf)
    print(f"  kept for the backward pass: {small / 1e6:.2f} MB against {large / 1e6:.2f} MB")


def kept(function: Callable[[], Tensor], leaf: Tensor) -> int:
    """Bytes of the storages that the graph of a result holds, without the input's own."""
    storages: dict[int, int] = {}

    def count(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        result = function()
    storages.pop(leaf.untyped_storage().data_ptr(), None)
    del result  # alive until here, so that no storage's address is used twice
    return sum(storages.values())


def main() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 4 * torch.randn(BATCH, PATCHES, CLASSES, generator=generator)
    logits[..., 1] += 6
    logits[:, ::2, 2] += 12
    scores = logits.softmax(2).requires_grad_()
    features = torch.randn(BATCH, PATCHES, WIDTH, generator=generator, requires_grad=True)
    tags = torch.zeros(BATCH, CLASSES - 1)
    tags[:, :2] = 1
    chosen = scores.detach()[..., 1:]
    shape = f"{BATCH} images of {PATCHES} patches"
    compare(f"adaptive-K of {shape}", lambda: adaptive_k_pool(scores), lambda: plain_pool(scores), scores)
    compare(
        f"patch contrast of {shape}",
        lambda: patch_contrast(features, chosen, tags, high=HIGH, low=LOW),
        lambda: plain_contrast(features, chosen, tags),
        features,
    )
    sums, matrix = 4 * BATCH * 2 * (CLASSES - 1) * WIDTH, 4 * BATCH * PATCHES**2
    print(f"  formed on the way: {sums / 1e6:.2f} MB of sums against {matrix / 1e6:.2f} MB of similarities")


if __name__ == "__main__":
    main()
