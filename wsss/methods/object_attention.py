"""How well attention stays on objects, measured where their masks are known."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from wsss.methods.diffusion import nearest_coneighbours

COVER = 0.5  # share of a token that an object must cover to own it


class OnObject(NamedTuple):
    """Means over the objects of an image; all in 0..1.

    Attributes:
        kept: Share of the attention of an object's tokens that lies on the object.
        drawn: Share of the attention of all other tokens that lies on it, which blurs what is gathered there.
        neighbours: Of the co-neighbours of its tokens, as many as it has tokens, the share that it owns.
        chance: Share of all tokens that it owns, what even attention would give all three.
    """

    kept: float
    drawn: float
    neighbours: float
    chance: float


def token_owners(mask: Tensor, stride: int) -> Tensor:
    """The object that covers at least half of each token.

    Args:
        mask: Number of the object at each pixel, 0 for none, integers (H, W).
        stride: Side of a token in pixels; the grid reaches over the image's right and lower rim.

    Returns:
        Number of the object, 0 for none, int64 (N,).
    """
    flags = F.one_hot(mask.long()).permute(2, 0, 1).float()[1:]  # (objects, H, W)
    if len(flags) == 0:
        flags = flags.new_zeros(1, *mask.shape)
    padded = F.pad(flags, (0, -mask.shape[1] % stride, 0, -mask.shape[0] % stride))
    share, owner = F.avg_pool2d(padded[None], stride)[0].flatten(1).max(0)
    return torch.where(share >= COVER, owner + 1, 0)


def attention_on_objects(A: Tensor, owners: Tensor) -> OnObject | None:
    """How much attention objects keep to themselves, and how much they draw from elsewhere.

    Args:
        A: Row-stochastic attention among patches, (N, N).
        owners: Number of the object that owns each token, 0 for none, (N,).

    Returns:
        The shares; None for an image in which no object owns a token, or one owns all.
    """
    if owners.shape != A.shape[:1]:
        raise ValueError(f"owners: expected ({len(A)},), found {tuple(owners.shape)}")
    objects = [own for number in owners.unique() if number > 0 and not (own := owners == number).all()]
    if not objects:
        return None
    index, _ = nearest_coneighbours(A, max(int(own.sum()) for own in objects))
    found = [_of_object(A, index.long(), own) for own in objects]
    return OnObject(*(sum(values) / len(found) for values in zip(*found, strict=True)))


def _of_object(A: Tensor, index: Tensor, own: Tensor) -> OnObject:
    """The shares of one object, whose tokens ``own`` (N,) marks; ``index`` as of nearest_coneighbours."""
    on_object = A[:, own].sum(1)  # (N,)
    near = own[index[own, : int(own.sum())]]
    shares = (on_object[own].mean(), on_object[~own].mean(), near.float().mean(), own.float().mean())
    return OnObject(*(float(share) for share in shares))
