"""GETAM: attention of the class token times its gradient, by class (Sun et al., 2021; as its code runs).

The published figures were reached with saliency maps, which are not used here.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def gradient_maps(
    logits: Tensor, attention: Sequence[Tensor], classes: Sequence[int], *, prefix: int = 1
) -> Tensor:
    """Maps of some classes: sum over blocks of the class token's row of each block's coupling.

    One backward pass a class for all images together, which do not touch each other.

    Args:
        logits: Of the class token, (B, C), computed from ``attention`` in evaluation mode. [open: the head
            on the class token; GETAM's own reads patches and class token both.]
        attention: A of each block after the softmax, (B, heads, P+N, P+N). GETAM takes the last six of
            twelve blocks, without normalising between them.
        classes: K classes.
        prefix: Tokens P before the patches, the class token first; 2 of a distilled network.

    Returns:
        Not negative, (B, K, N); multiplied by a^2 where the logits are multiplied by a > 0.

    Raises:
        ValueError: If there is no block, or a tensor is not attention of the same images.
    """
    _check(logits, attention, prefix)
    maps = [torch.zeros_like(logits[:, :0, None].expand(-1, 0, attention[0].shape[-1] - prefix))]
    for number in classes:
        gradients = torch.autograd.grad(
            logits[:, number].sum(), attention, retain_graph=True, materialize_grads=True
        )
        maps.append(coupled(attention, gradients, prefix=prefix)[:, None])
    return torch.cat(maps, dim=1)


def coupled(attention: Sequence[Tensor], gradients: Sequence[Tensor], *, prefix: int = 1) -> Tensor:
    """Sum over blocks of the class token's row of P = mean_h relu(G A) * mean_h relu(G), entry by entry.

    It is a product of two means over heads, not a mean of products. No term is negative, so that the ReLU
    which GETAM takes of the sum changes nothing.

    Args:
        attention: A of each block, (B, heads, P+N, P+N).
        gradients: G = dy / dA of one logit y, of the same shapes.
        prefix: Tokens P before the patches.

    Returns:
        (B, N).
    """
    rows = [
        (weights.detach()[:, :, 0, prefix:], gradient[:, :, 0, prefix:])
        for weights, gradient in zip(attention, gradients, strict=True)
    ]
    blocks = [(gradient * weights).relu().mean(1) * gradient.relu().mean(1) for weights, gradient in rows]
    return torch.stack(blocks).sum(0)


def _check(logits: Tensor, attention: Sequence[Tensor], prefix: int) -> None:
    """Refuse what is not attention of the images that the logits are of."""
    shapes = [tuple(weights.shape) for weights in attention]
    fits = [
        len(shape) == 4 and shape[0] == len(logits) and shape[2] == shape[3] > prefix >= 1 for shape in shapes
    ]
    if not shapes or not all(fits):
        raise ValueError(
            f"attention: expected (B, heads, P+N, P+N) of each block with B = {len(logits)} and P = {prefix}"
            f", found {shapes}"
        )
