"""Means over a batch, which several processes may share."""

from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function


def whole_batch(total: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Sum over a batch and the number of its terms, as a mean over the whole batch has to take them.

    They are returned as they are. Where processes share a batch, their training replaces this function by
    torch's means of doing so: each process has the sum over its part alone, and the count of the whole batch.

    Args:
        total: Sum over the images at hand, a scalar.
        count: Number of terms in it, a scalar.

    Returns:
        Both.
    """
    if has_torch_function((total, count)):
        both: tuple[Tensor, Tensor] = handle_torch_function(whole_batch, (total, count), total, count)
        return both
    return total, count
