"""AdvCAM: class maps summed while the image climbs to its class (Lee et al., CVPR 2021; as its code runs).

An image is moved step by step along the gradient of its class's score, against those of all others. Regions
that a class map missed then take part in the score; what the first map found already is held where it is.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

ClassMaps = Callable[[Tensor], Tensor]  # images (B, 3, H, W) -> raw class maps (B, C, h, w)

TINY = 1e-12  # added to the largest gradient that a step is divided by


@dataclass(frozen=True)
class Climb:
    """How an image climbs.

    Attributes:
        steps: Maps that are summed, the first of the image as it is; between them it moves. AdvCAM has 27,
            and 13 at scale 0.5.
        step: By how much the pixel of the largest gradient moves at a step, in normalised units [open: the
            code's 0.08].
        weight: Of the difference from the first map, in cells that are strong now (lambda).
        threshold: Share of a map's maximum above which a cell is strong.
        lambda_scale: What the difference is measured in, a key of :data:`LAMBDA_SCALES`, [open].
    """

    steps: int = 27
    step: float = 0.08
    weight: float = 7.0
    threshold: float = 0.5
    lambda_scale: str = "reference"

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps: expected at least 1, found {self.steps}")
        if self.lambda_scale not in LAMBDA_SCALES:
            expected = sorted(LAMBDA_SCALES)
            raise ValueError(f"lambda_scale: expected one of {expected}, found {self.lambda_scale!r}")


def _unit(first: Tensor) -> Tensor:
    return first.amax((1, 2), keepdim=True).clamp(min=torch.finfo(first.dtype).tiny)


LAMBDA_SCALES: Mapping[str, Callable[[Tensor], Tensor | float]] = {
    "reference": lambda first: 1.0,
    "unit": _unit,
}
"""What maps are divided by before they are compared: nothing, so that ``weight`` depends on the head, or the
first map's maximum, (Q, 1, 1), with which ``weight`` has to be chosen anew."""


def climb(
    class_maps: ClassMaps, images: Tensor, classes: Tensor, positive: Tensor, how: Climb = Climb()
) -> Tensor:
    """Sum of the maps on the way, one class of one image a row; see :func:`ascent`.

    Returns:
        Not negative, (Q, h, w).
    """
    maps = ascent(class_maps, images, classes, positive, how)
    total = next(maps)
    for found in maps:
        total = total + found
    return total


def ascent(
    class_maps: ClassMaps, images: Tensor, classes: Tensor, positive: Tensor, how: Climb = Climb()
) -> Iterator[Tensor]:
    """The map R_t of each step, of the image as it is first.

    An image climbs together with its mirror image. With z the raw maps of the two, g_k = mean relu(z_k):
    J = sum over both of (g_c - sum over k != c of g_k) - weight sum_p m |R_t - R_0|, m the strong cells of
    R_t and k all other classes, those that the image shows too; x <- clip(x + step grad J / max |grad J|).
    The maximum is that of the pair alone, and pixels stay within the image's own range. No parameter gets a
    gradient; freezing them beforehand saves memory.

    Args:
        class_maps: The network, in evaluation mode, so that images do not touch each other.
        images: Normalised images, each as often as it has classes, (Q, 3, H, W).
        classes: The class that each of them climbs to, (Q,).
        positive: How many of a class's weights are positive, (C,); see :func:`positive_weights`.
        how: Numbers of the climb.

    Yields:
        ``how.steps`` maps, (Q, h, w).

    Raises:
        ValueError: If there is not one class an image.
    """
    if images.ndim != 4 or classes.shape != images.shape[:1]:
        found = f"{tuple(images.shape)} and {tuple(classes.shape)}"
        raise ValueError(f"images and classes: expected (Q, 3, H, W) and (Q,), found {found}")
    start = torch.stack([images, images.flip(-1)], dim=1)  # (Q, 2, 3, H, W)
    low, high = start.flatten(1).amin(1).view(-1, 1, 1, 1, 1), start.flatten(1).amax(1).view(-1, 1, 1, 1, 1)
    pairs, first = start.detach(), None
    for number in range(how.steps):
        pairs.requires_grad_(number + 1 < how.steps)
        with torch.set_grad_enabled(pairs.requires_grad):
            found = class_maps(pairs.flatten(0, 1)).unflatten(0, (-1, 2))  # (Q, 2, C, h, w)
            current = pair_map(found, classes, positive)
            first = current.detach() if first is None else first
            if pairs.requires_grad:
                gain = objective(found, classes, current, first, how).sum()
                (gradient,) = torch.autograd.grad(gain, pairs)
        yield current.detach()
        if pairs.requires_grad:
            pairs = (pairs.detach() + how.step * _scaled(gradient)).clamp(low, high)


def pair_map(found: Tensor, classes: Tensor, positive: Tensor) -> Tensor:
    """R: the positive maps of image and mirror image, weighed by their numbers of active cells.

    R = (n_0 Z_0 + n_1 Z_1*) / (P_c (n_0 + n_1)), with Z = relu(z_c), n its cells above 0, * flipped back and
    P_c the positive weights of the class: what the code's Grad-CAM comes to for a linear head on averaged
    features, without its backward pass. The flip is one of cells, also where padding makes that half a cell
    too much.

    Args:
        found: Raw class maps of each pair, (Q, 2, C, h, w).
        classes: (Q,).
        positive: (C,).

    Returns:
        (Q, h, w); zeros where nothing is active.
    """
    own = found[torch.arange(len(found), device=found.device), :, classes].relu()  # (Q, 2, h, w)
    active = (own > 0).sum((2, 3)).to(own.dtype)  # (Q, 2)
    shares = active / (active.sum(1) * positive[classes].clamp(min=1)).clamp(min=1)[:, None]
    return shares[:, 0, None, None] * own[:, 0] + shares[:, 1, None, None] * own[:, 1].flip(-1)


def objective(found: Tensor, classes: Tensor, current: Tensor, first: Tensor, how: Climb) -> Tensor:
    """J of each pair, see :func:`ascent`.

    Args:
        found: Raw class maps, (Q, 2, C, h, w).
        classes: (Q,).
        current: R_t of these maps, (Q, h, w).
        first: R_0, without gradient, (Q, h, w).
        how: ``weight``, ``threshold`` and ``lambda_scale`` are read.

    Returns:
        (Q,).
    """
    scores = found.relu().mean((3, 4)).sum(1)  # (Q, C)
    own = scores.gather(1, classes[:, None])[:, 0]
    gain = 2 * own - scores.sum(1)
    strong = current.detach() > how.threshold * current.detach().amax((1, 2), keepdim=True)
    moved = (current - first).abs() / LAMBDA_SCALES[how.lambda_scale](first)
    return gain - how.weight * (moved * strong).sum((1, 2))


def positive_weights(weights: Tensor) -> Tensor:
    """P_c: how many weights of each class are positive, at least 1, (C, D) or (C, D, 1, 1) -> (C,)."""
    return (weights.flatten(1) > 0).sum(1).clamp(min=1)


def _scaled(gradient: Tensor) -> Tensor:
    """Each pair's gradient divided by its largest entry."""
    largest = gradient.flatten(1).abs().amax(1) + TINY
    return gradient / largest.view(-1, 1, 1, 1, 1)
