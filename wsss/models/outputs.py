"""What every classifier returns, and the padding that lets it take images of any size."""

from typing import NamedTuple, Protocol

from torch import Tensor, nn
from torch.nn import functional as F


class ClassifierOutput(NamedTuple):
    """One forward pass of a classifier.

    Attributes:
        cnn_logits: Logits of the branch whose class maps are used, (B, C).
        vit_logits: Logits of the class token, (B, C); None for a network without one.
        class_maps: w_k . f(x), without the head's bias and before ReLU, (B, C, h, w).
        attention: Softmax attention of the L transformer blocks, averaged over heads, class token first,
            (B, L, N+1, N+1), where N = h * w if tokens and cells are of one size; None when it was not asked
            for or the network has none.
        token_maps: Class maps of the transformer's patch tokens where they are others than ``class_maps``,
            raw logits with the head's bias, (B, C, h, w); None when attention was not asked for, where no
            head reads the patch tokens, and where the class maps are made of them.
        features: The last transformer block's patch tokens after the final norm, (B, N, D), row after row of
            the grid; None as ``attention``.
        map_features: f(x), what the class maps are read from, (B, D, h, w).
    """

    cnn_logits: Tensor
    vit_logits: Tensor | None
    class_maps: Tensor
    attention: Tensor | None
    token_maps: Tensor | None = None
    features: Tensor | None = None
    map_features: Tensor | None = None


class AttentionByClass(NamedTuple):
    """A pass whose logits can be differentiated by its attention.

    Attributes:
        logits: Logits of the class token, (B, C).
        attention: Softmax attention of each head, one tensor a block, (B, heads, P+N, P+N), from which the
            logits were computed.
        prefix: Tokens P before the patches, the class token first.
    """

    logits: Tensor
    attention: list[Tensor]
    prefix: int


class Classifier(Protocol):
    """What the stages need of a classifier besides that it is an ``nn.Module``."""

    @property
    def stride(self) -> int:
        """Image pixels per cell of the class maps."""

    @property
    def token_stride(self) -> int | None:
        """Image pixels per token of the attention; None for a network without attention."""

    def __call__(self, images: Tensor, attention: bool = True) -> ClassifierOutput:
        """Classify images of any size, (B, 3, H, W)."""

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Trainable parameters of the two branches, each exactly once."""

    def head_parameters(self) -> list[nn.Parameter]:
        """Parameters of the heads, which start at random whatever the rest starts from."""

    def map_head(self) -> nn.Module:
        """The layer whose ``weight``, (C, D) or (C, D, 1, 1), makes the class maps of ``map_features``."""


def pad_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """Pad zeros at the right and the bottom until both sides are multiples of ``multiple``.

    Args:
        images: Normalised images, (B, 3, H, W); zero is the mean colour.
        multiple: Stride of the network.

    Returns:
        (B, 3, ceil(H / multiple) * multiple, ceil(W / multiple) * multiple).
    """
    height, width = images.shape[-2:]
    return F.pad(images, (0, -width % multiple, 0, -height % multiple))


def keep_block(stack: Tensor | None, block: int, depth: int, weights: Tensor) -> Tensor:
    """Write a block's attention to its place in the stack, so that all blocks are held only once.

    Args:
        stack: What the blocks before returned, (B, L, N+1, N+1); None for the first.
        block: Number of the block, from 0.
        depth: Number of blocks L.
        weights: The block's attention, (B, N+1, N+1).

    Returns:
        The stack, (B, L, N+1, N+1).
    """
    if stack is None:
        stack = weights.new_empty(len(weights), depth, *weights.shape[1:])
    stack[:, block] = weights
    return stack


def check_images(images: Tensor) -> None:
    """Refuse anything that is not a batch of three-channel images."""
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape:
        raise ValueError(f"images: expected shape (B, 3, H, W), found {tuple(images.shape)}")
