"""Views of images, as a classifier's settings say: their cells, and whether their tokens can be numbered."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from wsss.config.checks import COARSER_THAN_TOKENS, WITHOUT_ATTENTION
from wsss.config.fields import Count, Positive, Settings
from wsss.config.systems import Config

MAX_TOKENS = 2**16  # of a view, as many as extract_maps can number
USUAL = 640  # pixels of the longer side, as COCO's images have, for which the presets' networks are made
STEM = 4  # pixels a cell behind the stem of timm's hybrids
PATCH = 16  # pixels a token, of the Conformer and of timm's names that say no other

Size = tuple[int, int]


class Strides(NamedTuple):
    """Pixels a token (None: no attention) and pixels a cell of class maps."""

    token: int | None
    cell: int


class View(Settings):
    """A view of images that a classifier takes class maps of."""

    stride: Count
    """Pixels a token."""
    scale: Positive
    """Of the image's sides."""


class Excess(NamedTuple):
    """Images that ``extract_maps`` would refuse after the training: what is wrong, and how to mend it."""

    found: str
    fix: str


def strides(network: Config) -> Strides:
    """The strides of a classifier, from its settings."""
    if network["kind"] in WITHOUT_ATTENTION:
        return Strides(None, network["output_stride"])
    if network["kind"] == "pair":  # its tokens lie on the cells of the class maps
        return Strides(network["cnn"]["output_stride"], network["cnn"]["output_stride"])
    if network["kind"] == "timm":
        token = _timm_stride(network["model"], network["arguments"].get("patch_size"))
        return Strides(token, token)
    stride: int = network["output_stride"]
    return Strides(PATCH, stride) if stride == COARSER_THAN_TOKENS else Strides(stride, stride)


def _timm_stride(model: str, patch: int | None) -> int:
    """Pixels a token of a timm transformer, by its name and the side of its patches where that is given.

    Names of hybrids, such as ``vit_small_r26_s32_224``, say the stride of the convolutions before; without
    a number behind the r these are the stem alone, and patches are laid on it.
    """
    if hybrid := re.search(r"_r\d*_s(\d+)(?:_p(\d+))?(?:_|$)", model):
        before, own = (STEM, int(hybrid[2])) if hybrid[2] else (int(hybrid[1]), 1)
        return before * (patch or own)
    named = re.search(r"patch(\d+)", model)
    return patch or (int(named[1]) if named else PATCH)


def cells(size: Size, stride: int, scale: float) -> int:
    """Cells of a view of an image of H x W pixels."""
    height, width = (max(1, round(side * scale)) for side in size)
    return math.ceil(height / stride) * math.ceil(width / stride)


def largest_views(config: Config, dataset: Config) -> dict[str, View]:
    """The largest view of each classifier with attention that a data set's chains use.

    Args:
        config: The whole configuration.
        dataset: The data set's entry.

    Returns:
        The views by the classifiers' names.
    """
    compared = (dataset.get("compare") or {}).get("systems", [])
    named = {chain.get("classifier") for chain in (dataset["main"], *compared)}
    variants = {name: config["classifiers"][name] for name in sorted(named & set(config["classifiers"]))}
    strided = {name: strides(variant["network"]).token for name, variant in variants.items()}
    return {
        name: View(stride=stride, scale=max(variants[name]["views"]["scales"]))
        for name, stride in strided.items()
        if stride is not None
    }


def excesses(sizes: Iterable[Size], views: Mapping[str, View]) -> Iterator[Excess]:
    """Where the largest of some images has more tokens than can be numbered, one for each classifier.

    Args:
        sizes: Height and width of images.
        views: Of :func:`largest_views`.
    """
    known = list(sizes)
    for name, view in views.items() if known else ():
        stride, scale = view.stride, view.scale
        height, width = largest = max(known, key=lambda size: cells(size, stride, scale))
        if (tokens := cells(largest, stride, scale)) <= MAX_TOKENS:
            continue
        tenths = math.floor(10 * math.sqrt(MAX_TOKENS * stride**2 / (height * width)))
        fits = next(
            (at / 10 for at in range(tenths, 0, -1) if cells(largest, stride, at / 10) <= MAX_TOKENS), 0
        )
        side = math.floor(math.isqrt(MAX_TOKENS) * stride / scale)  # of a square, which has the most tokens
        yield Excess(
            f"images of {width}x{height} pixels have {tokens} tokens at scale {scale}, "
            f"at most {MAX_TOKENS} can be numbered ({name})",
            f"set the data set's long_side to {USUAL}, or to at most {side}; or take scales up to {fits} in "
            f"classifiers.{name}.views.scales",
        )
