"""Several processes that train one network together, each on its share of every batch (data-parallel).

They compute what one process would, up to rounding: gradients and recorded losses are means over the whole
batch, and so are batch norm's statistics and the counts that losses divide by; dropout draws for the whole
batch, of which each process takes its part. On GPUs they talk by NCCL, on CPUs by gloo.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Any

import torch
from mmengine.dist import all_reduce, get_rank, get_world_size
from mmengine.model import BaseModel, MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_reduce as all_reduce_with_gradient
from torch.nn import functional as F
from torch.nn.modules._functions import SyncBatchNorm
from torch.overrides import TorchFunctionMode
from torch.utils.data import Sampler

from wsss.data.sampler import BatchShare, PositionSampler, Sample
from wsss.methods.whole_batch import whole_batch
from wsss.runtime.launch import place
from wsss.training.hooks import TrainingError

# For another process: more than the slowest step, or than reading all images.
PATIENCE = timedelta(minutes=10)

log = logging.getLogger("wsss.training")


@contextmanager
def joined() -> Iterator[None]:
    """Meet the processes that share this training until the block ends; nothing for a process on its own.

    On failure the group is not destroyed, which would wait for processes that wait for this one.
    """
    here = place()
    if here.size == 1:
        yield
        return
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        # A launcher may show each process its own GPU alone, or all of the machine's.
        torch.cuda.set_device(here.local_rank % torch.cuda.device_count())
    distributed.init_process_group(
        "nccl" if on_gpu else "gloo",
        init_method=f"tcp://{here.address}",
        rank=here.rank,
        world_size=here.size,
        timeout=PATIENCE,
    )
    log.info("%d processes train together on %s", here.size, "GPUs" if on_gpu else "the CPU")
    yield
    distributed.destroy_process_group()


def share_of(batch: int) -> int:
    """Images of a batch that each process takes."""
    share, rest = divmod(batch, get_world_size())
    if rest:
        raise TrainingError(
            f"batch: expected a multiple of the {get_world_size()} processes that share it, found {batch}; "
            "change the batch, or execution.gpus in the configuration"
        )
    return share


def own_part(stream: PositionSampler, batch: int) -> Sampler[Sample]:
    """The samples of a stream of batches that this process takes."""
    size = get_world_size()
    return stream if size == 1 else BatchShare(stream, share_of(batch), get_rank(), size)


def agree(passes: int) -> None:
    """Check that all processes go on from the same checkpoint, by the forward passes behind it."""
    bounds = torch.tensor([passes, -passes])
    all_reduce(bounds, "max")
    if bounds.tolist() != [passes, -passes]:
        raise TrainingError(
            f"expected all processes to go on from one checkpoint, found some after {bounds[0]} passes and "
            f"some after {-bounds[1]}: a slow file system, or another job that trains the same; run again"
        )


def shared(trainee: BaseModel, trained: Sequence[nn.Parameter]) -> BaseModel:
    """Let the processes' trainees act as one; a process on its own keeps its trainee as it is.

    Args:
        trainee: What the Runner trains, on this process's device.
        trained: The parameters that learn at any time: also those that rest at first.
    """
    if get_world_size() == 1:
        return trainee
    learning = [parameter.requires_grad for parameter in trained]
    for parameter in trained:
        parameter.requires_grad_(True)  # those that do not learn now would be left out forever
    whole = _Shared(trainee, broadcast_buffers=False, find_unused_parameters=True)
    for parameter, learns in zip(trained, learning, strict=True):
        parameter.requires_grad_(learns)
    return whole


class _Shared(MMDistributedDataParallel):
    """Trains on this process's share of a batch, and returns the losses of the whole one."""

    def train_step(self, data: Any, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        losses: dict[str, Tensor] = super().train_step(data, optim_wrapper)
        means = torch.stack([value.detach().double() for value in losses.values()])
        all_reduce(means, "mean")
        return dict(zip(losses, means, strict=True))


def as_one() -> AbstractContextManager[Any]:
    """Inside the block, what an image's result has from the rest of the batch comes from all processes."""
    return nullcontext() if get_world_size() == 1 else _AsOne()


class _AsOne(TorchFunctionMode):
    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run a function of torch, or the one in its place."""
        return INSTEAD.get(function, function)(*args, **(kwargs or {}))


def _count_all(total: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """See :func:`wsss.methods.whole_batch.whole_batch`; the mean over the processes makes the sum whole."""
    everywhere = count.clone()
    all_reduce(everywhere)
    return total * get_world_size(), everywhere


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """``F.batch_norm`` whose statistics are the whole batch's."""
    state, scale = (running_mean, running_var), (weight, bias)
    if not training:
        return F.batch_norm(input, *state, *scale, False, momentum, eps)
    if input.is_cuda:
        group = distributed.group.WORLD
        result: Tensor = SyncBatchNorm.apply(input, *scale, *state, eps, momentum, group, get_world_size())
        return result
    axes = [0, *range(2, input.ndim)]
    mean = _mean_of_all(input.mean(axes, keepdim=True))
    variance = _mean_of_all((input - mean).square().mean(axes, keepdim=True))
    if running_mean is not None and running_var is not None:
        terms = input.numel() // input.shape[1] * get_world_size()
        running_mean.lerp_(mean.detach().flatten(), momentum)
        running_var.lerp_(variance.detach().flatten() * terms / (terms - 1), momentum)
    normalised = (input - mean) / (variance + eps).sqrt()
    shape = mean.shape
    scaled = normalised if weight is None else normalised * weight.view(shape)
    return scaled if bias is None else scaled + bias.view(shape)


def _mean_of_all(value: Tensor) -> Tensor:
    total: Tensor = all_reduce_with_gradient(value)
    return total / get_world_size()


def _drop(draw: Callable[[Tensor, float], Tensor]) -> Callable[..., Tensor]:
    """A dropout whose noise is this process's part of the whole batch's."""

    def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        if not training or p == 0:
            return input
        noise = _own(draw(_for_all(input).fill_(1), p))
        return input.mul_(noise) if inplace else input * noise

    return dropout


def _bernoulli_(input: Tensor, p: float = 0.5) -> Tensor:
    return input.copy_(_own(_for_all(input).bernoulli_(p)))


def _for_all(part: Tensor) -> Tensor:
    """Room for the whole batch, of which the processes' parts follow each other along the first axis."""
    return part.new_empty((get_world_size() * part.shape[0], *part.shape[1:]))


def _own(whole: Tensor) -> Tensor:
    return whole.chunk(get_world_size())[get_rank()]


INSTEAD: dict[Any, Callable[..., Any]] = {
    whole_batch: _count_all,
    F.batch_norm: _batch_norm,
    F.dropout: _drop(F.dropout),
    F.dropout2d: _drop(F.dropout2d),
    Tensor.bernoulli_: _bernoulli_,  # timm's stochastic depth
}
"""Functions whose result for an image depends on the rest of the batch, or on chance."""
