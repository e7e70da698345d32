"""timm's CNNs: built at an output stride, dilated for it or not, or refused with the reason."""

from collections.abc import Mapping
from typing import Any, cast

import timm
import torch
from torch import nn

OWN_STRIDE = 32  # of timm's CNNs, which is never asked for


def create_cnn(
    model: str, arguments: Mapping[str, Any], output_stride: int | None = None, *, dilate: bool = True
) -> Any:
    """Build a network of timm without head or weights.

    Args:
        model: timm's name of the model, with or without the tag of its weights.
        arguments: Further arguments of timm's constructor.
        output_stride: Stride of the last feature; other than timm's own 32 (or None) the constructor must
            offer it.
        dilate: Whether the stages that lose their stride are dilated instead, as timm does it; otherwise all
            convolutions keep the dilation that they have at timm's own stride.

    Raises:
        ValueError: If timm lacks the model, or the model refuses the arguments.
    """
    if not timm.is_model(model):
        raise ValueError(f"timm {timm.__version__} has no model {model!r}")
    asked = {} if output_stride in (None, OWN_STRIDE) else {"output_stride": output_stride}
    options = {"num_classes": 0, **asked, **arguments}
    try:
        network = timm.create_model(model, pretrained=False, **options)
    except (TypeError, AssertionError, NotImplementedError) as error:
        hint = f"; where output_stride is not offered, take {OWN_STRIDE} or another model" if asked else ""
        said = str(error) or type(error).__name__
        raise ValueError(f"timm model {model!r} does not take {options}: {said}{hint}") from error
    if asked and not dilate:
        _undo_dilation(network, model, {"num_classes": 0, **arguments})
    return network


def _undo_dilation(network: nn.Module, model: str, own: Mapping[str, Any]) -> None:
    """Give all convolutions the dilation that they have at timm's own stride, and padding to fit."""
    with torch.device("meta"):  # of this one only the settings are read
        original = timm.create_model(model, pretrained=False, **own)
    for name, conv in network.named_modules():
        if isinstance(conv, nn.Conv2d):
            wanted = cast(nn.Conv2d, original.get_submodule(name)).dilation
            if isinstance(conv.padding, tuple):
                conv.padding = tuple(map(_padding, conv.padding, conv.kernel_size, conv.dilation, wanted))
            conv.dilation = wanted


def _padding(padding: int, kernel: int, dilation: int, wanted: int) -> int:
    """Padding that keeps the size as before; what pads itself on the fly has 0 and keeps it."""
    return wanted * (kernel - 1) // 2 if padding == dilation * (kernel - 1) // 2 else padding
