"""Files of initial weights that others have published, for who does not have them."""

from __future__ import annotations

import re

CONFORMER = re.compile(r"Conformer_(tiny|small|base)_patch16\.pth")
OTHERWISE = (
    "lay it there; or let the data set's main chain name a network whose weights timm fetches, "
    "as the classifier resnet50_dinov2"
)


def how_to_get(name: str) -> str:
    """What a missing file is, where it is published, and what to do without it.

    Args:
        name: The file's name, without its folder.
    """
    if size := CONFORMER.fullmatch(name):
        return (
            f"it is the Conformer-{size[1]} that has learnt ImageNet-1k's image labels, published by its "
            f"authors' project Conformer (Peng et al., ICCV 2021) as {name}; {OTHERWISE}"
        )
    return f"it is named by `file` of an `initial` in the configuration; {OTHERWISE}"


def how_to_fetch(name: str) -> str:
    """How weights of timm's come into the cache of downloads; ``name`` is timm's."""
    command = f"import timm; timm.create_model('{name}', pretrained=True)"
    return f'where there is a network: python -c "{command}"; or give a file in the config'
