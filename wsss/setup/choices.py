"""What is run on a data set, by the number and the size of its images and by whether there is a GPU.

Decided once and written into the user's file: a run that goes on elsewhere, with or without a GPU, has the
same settings. The bounds are rules of thumb.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from wsss.config.datasets import LARGE as LARGE_SET
from wsss.config.views import USUAL

SMALL = 128  # pixels of the shorter side, below which the sample's networks suit, made for 64 to 96
FEW = 100  # training images, below which networks see each more often
MANY = 1000  # from which a segmentation network is trained longer, where a GPU makes that minutes
SHARD = 250  # images of a job
LARGE = 1024  # pixels of the longer side, above which pictures are read smaller


# Classifier, refiner, segmenter and inference.
SAMPLE = ("conformer_nano", "irn_nano", "deeplab_nano", "nano_crf")
OWN = ("own", "own", "own", "own_crf")


@dataclass(frozen=True)
class Facts:
    """What the choices rest on.

    Attributes:
        train: Number of training images.
        held_back: Number of images of val or test, whichever has more.
        side: Median of the images' shorter sides, pixels, as they are read.
        scored: Whether val has masks.
        gpu: Whether the trainings will have a GPU.
        longest: The largest of the images' longer sides, pixels.
    """

    train: int
    held_back: int
    side: int
    scored: bool
    gpu: bool
    longest: int = 0


@dataclass(frozen=True)
class Choice:
    """Settings of a data set, all of them keys of its entry, and why they were chosen."""

    settings: dict[str, object]
    reasons: Sequence[str]


def work(facts: Facts) -> Choice:
    """How the work is cut and how often networks are trained."""
    runs = [0, 1, 2] if facts.scored and facts.gpu else [0]
    shards = {"shards": _shards(facts.train), "val_shards": _shards(facts.held_back)}
    kept = {"keep": "maps"} if facts.train > LARGE_SET else {}
    why = [f"a job per {SHARD} images"] + (["scores over three runs"] if len(runs) > 1 else [])
    why += ["no cache of so many images' attention"] if kept else []
    return Choice({**shards, **kept, "runs": runs}, why)


def _shards(images: int) -> int:
    return min(999, max(1, math.ceil(images / SHARD)))


def chain(facts: Facts) -> Choice:
    """The main chain, by names of presets in ``config/``."""
    often = "_few" if facts.train < FEW else ""
    long = "_many" if facts.train >= MANY and facts.gpu and not _small(facts) else ""
    first, second, third, last = SAMPLE if _small(facts) else OWN
    main = {
        "classifier": first + often,
        "method": "adcam_n020",
        "refiner": second + often,
        "segmenter": third + long,
        "inference": last,
    }
    why = (f"images of about {facts.side} pixels", f"{facts.train} training images", _gpu(facts))
    return Choice({"main": main}, why)


def beside(facts: Facts) -> Choice:
    """What is predicted beside it, where the defaults of the kind ``folder`` do not suit."""
    if not _small(facts):
        return Choice({}, ())
    return Choice(
        {part: {"extends": f"datasets.sample.{part}"} for part in ("inferences", "single_stage")},
        ("for small images",),
    )


def reading_side(longest: int) -> int | None:
    """Pixels of the longer side at which images are read, by those of the largest; None: as they are."""
    return USUAL if longest > LARGE else None


def reading(facts: Facts) -> Choice:
    """At which size the images are read."""
    if (side := reading_side(facts.longest)) is None:
        return Choice({}, ())
    return Choice({"long_side": side}, (f"sides of up to {facts.longest} pixels, networks for about this",))


def _small(facts: Facts) -> bool:
    return facts.side < SMALL


def _gpu(facts: Facts) -> str:
    return "a GPU" if facts.gpu else "no GPU"
