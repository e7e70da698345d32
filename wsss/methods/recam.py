"""ReCAM: a softmax classifier of each class's own features sharpens its map (Chen et al., CVPR 2022).

A binary cross-entropy lets a map of one class cover another that shows beside it. A softmax over all classes,
on the features that the map selects, does not.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

EPSILON = 1e-5  # added to a map's maximum, as its code runs

COMBINATIONS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "product": lambda first, second: first * second,
    "first": lambda first, second: first,
    "second": lambda first, second: second,
    "sum": lambda first, second: first + second,
}


def class_features(features: Tensor, class_maps: Tensor) -> Tensor:
    """Features as each class's map sees them: F_k = mean over p of M_k(p) f(p) (ReCAM, as its code runs).

    M_k = relu(z_k) / (max relu(z_k) + 1e-5). Nothing is detached: gradients pass the maps, their maximum too.
    The sum over positions never holds its (B, C, D, N) terms.

    Args:
        features: Features that the class maps are made of, (B, D, h, w).
        class_maps: Raw class maps z, (B, C, h, w).

    Returns:
        (B, C, D).

    Raises:
        ValueError: If the two are not of the same images and grid.
    """
    if features.ndim != 4 or class_maps.ndim != 4 or _images(features) != _images(class_maps):
        found = f"{tuple(features.shape)} and {tuple(class_maps.shape)}"
        raise ValueError(f"features and class maps: expected (B, D, h, w) and (B, C, h, w), found {found}")
    maps = class_maps.relu().flatten(2)  # (B, C, N)
    maps = maps / (maps.amax(2, keepdim=True) + EPSILON)
    return torch.einsum("bcn,bdn->bcd", maps / maps.shape[2], features.flatten(2))


def present_class_loss(logits: Tensor, tags: Tensor) -> Tensor:
    """Softmax cross-entropy of each present class's own features, L_SCE (ReCAM, as its code runs).

    The softmax runs over all C classes. An image has the mean over its classes, one without any has 0; the
    mean over images counts both.

    Args:
        logits: u[b, k] = w' F_k of image b, (B, C, C): what the features of class k speak for.
        tags: 1 for each class that an image shows, else 0, (B, C).

    Returns:
        A scalar.

    Raises:
        ValueError: If the shapes do not fit.
    """
    if tags.ndim != 2 or logits.shape != (*tags.shape, tags.shape[1]):
        found = f"{tuple(logits.shape)} and {tuple(tags.shape)}"
        raise ValueError(f"logits and tags: expected (B, C, C) and (B, C), found {found}")
    own = -F.log_softmax(logits, dim=2).diagonal(dim1=1, dim2=2)  # (B, C)
    return ((own * tags).sum(1) / tags.sum(1).clamp(min=1)).mean()


def combine(first: Tensor, second: Tensor, how: str) -> Tensor:
    """One head that makes class maps of the two heads' weights, [open].

    ReCAM's code takes the product on VOC and the first alone on COCO. Where both weights of a channel are
    negative their product speaks for the class; it is not clamped.

    Args:
        first: Weights w of the classifier's head, (C, D).
        second: Weights w' of the softmax head, (C, D).
        how: One of :data:`COMBINATIONS`.

    Returns:
        (C, D).

    Raises:
        ValueError: For another ``how``, or weights of two shapes.
    """
    if how not in COMBINATIONS:
        raise ValueError(f"combine: expected one of {sorted(COMBINATIONS)}, found {how!r}")
    if first.shape != second.shape:
        raise ValueError(f"weights: expected one shape, found {tuple(first.shape)} and {tuple(second.shape)}")
    return COMBINATIONS[how](first, second)


def _images(maps: Tensor) -> tuple[int, ...]:
    return (len(maps), *maps.shape[2:])
