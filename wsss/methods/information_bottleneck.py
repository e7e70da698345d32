"""RIB: class maps summed while a classifier is tuned to an image (Lee et al., NeurIPS 2021, by its code).

Without the last activation a score has no ceiling: its gradient reaches the weakly active cells too, which
the training's loss no longer asks for. Each image tunes the classifier for a few rounds, then it is put back.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

ClassMaps = Callable[[Tensor], Tensor]  # images (B, 3, H, W) -> raw class maps (B, C, h, w)


class Scale(NamedTuple):
    """One scale of the image that is tuned to.

    Attributes:
        pair: The image and its mirror image, normalised, (2, 3, H, W).
        teaches: Whether the loss is taken on it too; RIB leaves scale 0.5 out.
        counts: Whether its maps say when enough is covered; RIB looks at scale 1.
    """

    pair: Tensor
    teaches: bool = True
    counts: bool = False


class Others(NamedTuple):
    """Crops of images that share no class with the one that is tuned to.

    Attributes:
        images: Normalised crops, (B, 3, S, S).
        tags: Their own image labels, (B, C).
    """

    images: Tensor
    tags: Tensor


@dataclass(frozen=True)
class Tuning:
    """How a classifier is tuned to an image; values are RIB's on VOC, on COCO 0.5, 1000 and 0.8.

    Attributes:
        rounds: Maps that are summed; between them the classifier learns.
        tau: Share of a map's maximum below which cells count in a score.
        limit: Sum of the image's own scores, without sign, above which no further round is run.
        coverage: Share of the cells above which no further round is run.
        strong: Share of a map's maximum above which a cell is covered.
        power: Of the polynomial by which the rates fall over the rounds.
        momentum: Of the descent: the code's schedule passes its weight decay there.
        weight_decay: Of the descent.
    """

    rounds: int = 10
    tau: float = 0.4
    limit: float = 600.0
    coverage: float = 0.7
    strong: float = 0.3
    power: float = 0.9
    momentum: float = 1e-4
    weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ValueError(f"rounds: expected at least 1, found {self.rounds}")


def gndrp(class_maps: Tensor, tau: float) -> Tensor:
    """Global non-discriminative region pooling: the mean over all cells of what is far below the maximum.

    Args:
        class_maps: Raw class maps z, (B, C, h, w).
        tau: Share of a map's maximum.

    Returns:
        (1/N) sum_p z(p) [z(p) / max z < tau], cells of negative evidence included, (B, C); the choice of
        cells has no gradient. 0 where no cell is positive, for which the published code takes the cells
        that it should leave.
    """
    peaks = class_maps.detach().amax((2, 3), keepdim=True)  # (B, C, 1, 1)
    weak = (class_maps.detach() < tau * peaks) & (peaks > 0)
    return (class_maps * weak).mean((2, 3))


def tuned_maps(
    class_maps: ClassMaps,
    groups: Sequence[Mapping[str, Any]],
    scales: Sequence[Scale],
    classes: Sequence[int],
    others: Sequence[Others],
    how: Tuning = Tuning(),
) -> list[Tensor]:
    """Sum over the rounds of each scale's maps, relu(z) + relu(z)* of image and mirror image.

    After each round but the last, a step of gradient descent on L = - sum over rows of the sum over the row's
    labels of :func:`gndrp`: rows are both views of the scales that teach, under ``classes``, and the crops of
    ``others`` under their own. The sum ends before ``rounds`` after a round whose views' scores have together
    left ``limit``; and, from the second round on, before one whose maps cover more than ``coverage``, whose
    maps do not count [open: the published code counts that round's maps of scale 1].

    The parameters and their gradients are the same before and after, to the bit; only those of ``groups``
    learn. The network has to be in evaluation mode, in which nothing else changes.

    Args:
        class_maps: The network.
        groups: Parameter groups, each with ``params`` and ``lr``; RIB's are 8e-5 of the head, 8e-6 of the
            last two stages (COCO 5e-6).
        scales: The image's views.
        classes: The image's classes, K of them.
        others: Batches of crops; that there are several only bounds memory.
        how: Numbers of the tuning.

    Returns:
        Maps of each scale, not negative, (K, h, w), the cells of the mirror image flipped back.
    """
    params = [parameter for group in groups for parameter in group["params"]]
    held = [(parameter, parameter.detach().clone(), parameter.grad) for parameter in params]
    try:
        for parameter in params:
            parameter.grad = None
        with torch.enable_grad():
            return _rounds(class_maps, groups, scales, list(classes), others, how)
    finally:
        with torch.no_grad():
            for parameter, value, gradient in held:
                parameter.copy_(value)
                parameter.grad = gradient


def _rounds(
    class_maps: ClassMaps,
    groups: Sequence[Mapping[str, Any]],
    scales: Sequence[Scale],
    classes: list[int],
    others: Sequence[Others],
    how: Tuning,
) -> list[Tensor]:
    given = [{"params": list(group["params"]), "lr": group["lr"]} for group in groups]
    optimizer = torch.optim.SGD(given, momentum=how.momentum, weight_decay=how.weight_decay)
    falling = torch.optim.lr_scheduler.PolynomialLR(optimizer, how.rounds, how.power)
    total: list[Tensor] = []
    for number in range(how.rounds):
        optimizer.zero_grad()
        maps, own = _look(class_maps, scales, classes, how)
        counted = [part for part, scale in zip(maps, scales, strict=True) if scale.counts]
        if number and any(share_covered(part, how.strong) > how.coverage for part in counted):
            break
        total = [one + other for one, other in zip(total, maps, strict=True)] if total else maps
        if abs(own) > how.limit or number + 1 == how.rounds:
            break
        for batch in others:
            loss_of(class_maps(batch.images), batch.tags, how.tau).backward()
        optimizer.step()
        falling.step()
    return total


def _look(
    class_maps: ClassMaps, scales: Sequence[Scale], classes: list[int], how: Tuning
) -> tuple[list[Tensor], float]:
    """Each scale's maps and the sum of the views' scores, whose gradient is left at the parameters."""
    maps, own = [], 0.0
    for scale in scales:
        with torch.set_grad_enabled(scale.teaches):
            found = class_maps(scale.pair)[:, classes]  # (2, K, h, w)
        if scale.teaches:
            loss = loss_of(found, found.new_ones(found.shape[:2]), how.tau)
            loss.backward()
            own -= loss.item()
        positive = found.detach().relu()
        maps.append(positive[0] + positive[1].flip(-1))
    return maps, own


def loss_of(class_maps: Tensor, tags: Tensor, tau: float) -> Tensor:
    """- sum over rows of the sum over a row's labels of GNDRP; maps (B, C, h, w), tags (B, C), a scalar."""
    return -(gndrp(class_maps, tau) * tags).sum()


def share_covered(maps: Tensor, strong: float) -> float:
    """Share of the cells in which some map, (K, h, w), exceeds ``strong`` times its own maximum.

    [open: whether the published code looks at a round's maps, as here, or at their sum so far.]
    """
    covered = (maps > strong * maps.amax((1, 2), keepdim=True)).any(0)
    return float(covered.to(maps.dtype).mean())
