"""The whole configuration as one model."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Discriminator, Field, Tag, model_validator

from wsss.config.classifiers import (
    Classifier,
    CnnNetwork,
    ConformerNetwork,
    TagsTraining,
    TimmNetwork,
    check_rates,
)
from wsss.config.datasets import Dataset
from wsss.config.fields import Count, Name, PixelRange, Positive, Seed, Settings, Unit, keys_of
from wsss.config.methods import Method
from wsss.config.networks import Backbone, Coloured
from wsss.config.refiners import Refiner
from wsss.config.segmenters import Inference, Segmenter
from wsss.config.single_stage import SingleStage, SingleStageInference


class Sweep(Settings):
    """Background scores at which class maps are scored."""

    start: Unit = 0.0
    """First."""
    stop: Unit = 0.99
    """Last, included; IRN's 0.59 cuts off maps that attention gathered, whose best lies at 0.7 to 0.9."""
    step: Positive = 0.01
    """Between two."""


class Evaluation(Settings):
    """How class maps are scored."""

    thresholds: Sweep = Sweep()


class PretrainedBackbone(Coloured):
    """A backbone that is pretrained under a linear head."""

    backbone: Backbone


class PretrainingImages(Settings):
    """Generated images of other classes than the sample's."""

    seed: Seed
    """Of the generator."""
    count: Count
    """Images, each seen once an epoch."""
    side: PixelRange
    """Smallest and largest side of an image, pixels."""


def _network(value: Any) -> str:
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return "backbone" if "backbone" in keys_of(value) else str(kind)


class Pretraining(Settings):
    """The making of the sample's initial weights."""

    network: Annotated[
        Annotated[PretrainedBackbone, Tag("backbone")]
        | Annotated[ConformerNetwork, Tag("conformer")]
        | Annotated[CnnNetwork, Tag("cnn")]
        | Annotated[TimmNetwork, Tag("timm")],
        Discriminator(_network),
    ]
    images: PretrainingImages
    training: TagsTraining

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not isinstance(self.network, PretrainedBackbone):
            check_rates(self.network, self.training)
        return self


class Gpus(Settings):
    """GPUs that share a training's batch: a divisor of it; --resources gpu= must offer as many."""

    train_classifier: Count = 1
    train_irn: Count = 1
    train_segmenter: Count = 1
    train_single_stage: Count = 1


class Execution(Settings):
    """How jobs run; it changes no result and reruns nothing."""

    gpus: Gpus = Gpus()
    jobs_per_gpu: Count = 1
    """Jobs that may share a GPU where its memory suffices; --resources gpu= is then the GPUs times this."""


class Configuration(Settings):
    """All sections, most of them of named variants."""

    datasets: Annotated[dict[Name, Dataset], Field(min_length=1)]
    classifiers: Annotated[dict[Name, Classifier], Field(min_length=1)]
    methods: Annotated[dict[Name, Method], Field(min_length=1)]
    refiners: Annotated[dict[Name, Refiner], Field(min_length=1)]
    segmenters: Annotated[dict[Name, Segmenter], Field(min_length=1)]
    inferences: Annotated[dict[Name, Inference], Field(min_length=1)]
    single_stage: Annotated[dict[Name, SingleStage], Field(min_length=1)]
    single_stage_inferences: Annotated[dict[Name, SingleStageInference], Field(min_length=1)]
    evaluation: Evaluation = Evaluation()
    pretraining: dict[Name, Pretraining]
    execution: Execution = Execution()
