"""timm's vision transformers: built, or refused with the reason."""

from collections.abc import Mapping
from typing import Any

import timm
from timm.models.vision_transformer import VisionTransformer
from torch import nn


def create_transformer(
    model: str, arguments: Mapping[str, Any], kinds: tuple[type[Any], ...] = (VisionTransformer,)
) -> Any:
    """Build a transformer without head or weights; its position embedding follows the image's size.

    Args:
        model: timm's name of the model, without a weights tag or with one.
        arguments: Further arguments of ``timm.create_model``, for example ``drop_path_rate``.
        kinds: The classes of timm that will do.

    Raises:
        ValueError: If timm lacks the model or refuses the arguments, or the model is of another kind, has
            patches that are not square, pools by attention or drops patches.
    """
    options = {"num_classes": 0, "dynamic_img_size": True, **arguments}
    try:
        network: Any = timm.create_model(model, pretrained=False, **options)
    except (TypeError, AssertionError) as error:  # timm hands all arguments through to the constructor
        raise ValueError(f"timm model {model!r} does not take {dict(options)}: {error}") from error
    except RuntimeError as error:
        raise ValueError(f"timm has no model {model!r}: {error}") from error
    if not isinstance(network, kinds):
        expected, found = " or ".join(kind.__name__ for kind in kinds), type(network).__name__
        raise ValueError(f"timm model {model!r}: expected one of class {expected}, found {found}")
    patch = network.patch_embed.patch_size
    if patch[0] != patch[1]:
        raise ValueError(f"timm model {model!r}: expected square patches, found {patch}")
    if network.attn_pool is not None or not isinstance(network.patch_drop, nn.Identity | None):
        raise ValueError(f"timm model {model!r}: expected neither attention pooling nor patch dropout")
    return network
