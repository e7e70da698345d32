"""How well attention stays on objects, measured where their masks are known."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from wsss.methods.diffusion import nearest_coneighbours

COVER = 0.5  # share of a token that an object must cover to own it


class OnObject(NamedTuple):
    """Means over the tokens that an object owns, of an image; all in 0..1.

    Attributes:
        attention: Share of a token's attention that lies on the tokens of its own object.
        neighbours: Share of its co-neighbours, as many as its object has tokens, that its object owns.
        chance: Share of all tokens that its object owns: what even attention would reach.
    """

    attention: float
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
    """How much of the objects' attention stays on them.

    Args:
        A: Row-stochastic attention among patches, (N, N).
        owners: Number of the object that owns each token, 0 for none, (N,).

    Returns:
        The shares; None for an image in which no object owns a token.
    """
    if owners.shape != A.shape[:1]:
        raise ValueError(f"owners: expected ({len(A)},), found {tuple(owners.shape)}")
    on_object = owners > 0
    if not on_object.any():
        return None
    own = (owners[:, None] == owners)[on_object]  # (tokens of objects, N)
    counts = own.sum(1)
    index, _ = nearest_coneighbours(A, int(counts.max()))
    near = own.gather(1, index[on_object].long())
    near &= torch.arange(near.shape[1], device=near.device) < counts[:, None]
    return OnObject(
        float((A[on_object] * own).sum(1).mean()),
        float((near.sum(1) / counts).mean()),
        float((counts / len(A)).mean()),
    )
