"""Settings of data sets: where images and labels come from, and what is run on them.

Each kind has two models. That of its data, such as :class:`VocData`, defines the images and labels, and is
all that is read to list and check them; the data set, such as :class:`Voc`, adds what is run on it.
"""

from __future__ import annotations

import pathlib
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, TypeAdapter, model_validator

from wsss.config.errors import former
from wsss.config.fields import (
    Count,
    Name,
    Names,
    NotNegativeInt,
    Path,
    PixelRange,
    Runs,
    Seed,
    Settings,
    Text,
    Threshold,
    distinct,
    in_order,
    keys_of,
)
from wsss.config.methods import MapKind
from wsss.config.systems import Config

Shards = Annotated[int, Field(ge=1, le=999)]
Split = Literal["train", "val", "test"]
Kept = Literal["attention", "maps"]
MaskValue = Annotated[int, Field(ge=0, le=255)]
LongSide = Annotated[int, Field(ge=1, le=1536)]  # pixels: as many as a predictor sees at once
LARGE = 5000  # training images, above which all views of them are more than an ordinary disk has room for
MASKS = "masks"  # folder of an own data set's masks, where it is not named
LABELS = "labels.csv"  # and its table


class MainChain(Settings):
    """The chain whose score is results/{dataset}/seg_miou.json."""

    classifier: Name
    method: Name
    refiner: Name
    segmenter: Name
    inference: Name


class Asked(Settings):
    """How a variant of a single-stage method is asked."""

    inference: Name
    """Of val."""
    pseudo: Names
    """Of the training images; the first counts."""


class ChainEntry(Settings):
    """A chain that is compared."""

    name: Text
    """How it is called; no two alike."""
    classifier: Name
    """Or a variant of single_stage, with method patches."""
    method: Name
    refiner: Name
    segmenter: Name | None = None
    """Left out: the main chain's; None: none is trained."""


class SingleStageEntry(Settings):
    """A variant of a single-stage method that is compared."""

    name: Text
    """How it is called; no two alike."""
    single_stage: Name
    inference: Name | None = None
    """None: the data set's; another only of the main variant."""


class UpperBoundEntry(Settings):
    """A segmentation network that is trained on the images' masks: pixel labels, an upper bound."""

    name: Text
    """How it is called; no two alike."""
    truth: Literal[True]
    """That it is one."""
    segmenter: Name = ""
    """Left out: the main chain's."""


def _entry(value: Any) -> str:
    if "truth" in keys_of(value):
        return "truth"
    return "single" if {"single_stage", *former("single_stage")} & keys_of(value) else "chain"


Entry = Annotated[
    Annotated[ChainEntry, Tag("chain")]
    | Annotated[SingleStageEntry, Tag("single")]
    | Annotated[UpperBoundEntry, Tag("truth")],
    Discriminator(_entry),
]


class SingleStages(Settings):
    """Which of ``single_stage`` and of ``single_stage_inferences`` are used on the data set."""

    main: Name
    """The variant whose score is results/{dataset}/apc/seg_miou.json."""
    inferences: Names
    """Of the main variant on val."""
    inference: Name
    """The one that counts; the other variants' only one."""
    pseudo: Names
    """Of the training images; the first counts."""
    otherwise: Annotated[dict[Name, Asked], AfterValidator(in_order)] = {}
    """Other variants than the main one that are asked in other ways, as those without a decoder."""
    ablation: Names
    """Variants, a row of results/{dataset}/apc/ablations.csv each."""
    costs: list[Entry] = []
    """Systems, a row of results/{dataset}/apc/cost.csv each."""


class Comparison(Settings):
    """The systems of results/{dataset}/compare.html."""

    systems: Annotated[list[Entry], Field(min_length=1)]
    sensitivity: Annotated[list[Name], AfterValidator(distinct)] = []
    """Methods on the main classifier's maps."""
    images: Count = 60
    """Shown on the page."""
    instead: Annotated[dict[Name, Name], AfterValidator(in_order)] = {}
    """Variants by those whose place they take in systems, as in a list taken over from another data set."""

    @model_validator(mode="after")
    def _replaced(self) -> Self:
        """The entries name the variants that are run."""
        for entry in self.systems:
            for part in ("classifier", "refiner", "segmenter", "single_stage"):
                if (name := getattr(entry, part, None)) in self.instead:
                    setattr(entry, part, self.instead[name])
        return self


class Examples(Settings):
    """The pictures of results/{dataset}/examples.png."""

    images: Annotated[list[Text], AfterValidator(distinct)] = []
    """Ids of the images; empty: some training images, evenly over those with several classes and with one."""
    count: Count = 6
    """How many are chosen, where none are named."""


class Used(Settings):
    """What all data sets have: how work is cut, and what is run."""

    shards: Shards
    """Parts of the split train, a job each."""
    val_shards: Shards
    """Parts of val and of test, a job each."""
    keep: Kept = "attention"
    """What stays on the disk of a classifier's pass over the training images. ``attention``: all views, with
    which any method, k and T is made without the network. ``maps``: one method's class maps, made shard by
    shard; each method then takes a pass of its own. The maps are the same."""
    runs: Runs = [0]
    """Trainings of everything; each draws its random numbers from its own."""
    inferences: Names
    """Of the main chain on val, a score each."""
    main: MainChain
    single_stage: SingleStages | None = None
    thresholds: Annotated[dict[MapKind, Threshold], AfterValidator(in_order)] = {}
    """Of unrefined maps, by their kind, of a method or a maker, in place of refiner none's."""
    compare: Comparison | None = None
    examples: Examples = Examples()

    @model_validator(mode="after")
    def _segmenters(self) -> Self:
        """An entry that names no segmenter has the main chain's."""
        compared = self.compare.systems if self.compare else []
        for entry in [*compared, *(self.single_stage.costs if self.single_stage else [])]:
            if isinstance(entry, SingleStageEntry) or "segmenter" in entry.model_fields_set:
                continue
            entry.segmenter = self.main.segmenter
        return self


class LabelledImages(Settings):
    """What data sets of every kind have to define their images and labels."""

    allow_empty_classes: bool = False
    """Whether a class without a training image is no error."""

    @property
    def is_made(self) -> bool:
        """Whether a rule first makes a folder for the data set."""
        return False


class Pictures(LabelledImages):
    """What those of pictures from elsewhere have besides."""

    largest_image: Count = 178_956_970
    """Pixels that an image may have; each takes three bytes decoded, and more in every stage."""


class SampleData(LabelledImages):
    """Generated pictures of animals; needs nothing."""

    kind: Literal["sample"]
    seed: Seed
    """Of the generator."""
    train: Count
    """Images."""
    val: Count
    """Images."""
    test: NotNegativeInt = 0
    """Images."""
    side: PixelRange
    """Smallest and largest side of an image, pixels."""

    @property
    def is_made(self) -> bool:
        """Whether a rule first makes a folder for the data set: all of it."""
        return True


class VocData(Pictures):
    """PASCAL VOC 2012: JPEGImages, Annotations, SegmentationClass, ImageSets/Segmentation."""

    kind: Literal["voc"]
    root: Path
    """Folder."""
    sbd: Path | None
    """Folder with SBD's train.txt and val.txt; None takes SegmentationClassAug less val."""
    labels: Path | None = None
    """CSV of image labels; None reads Annotations/*.xml."""
    counts: Annotated[
        dict[Literal["train", "masked", "val", "test"], NotNegativeInt], AfterValidator(in_order)
    ] = {}
    """Images that each split must have; another edition stops the run."""


class CocoSplit(Settings):
    """One split of COCO."""

    images: Path
    """Folder below root."""
    annotations: Path
    """Instances JSON below root."""
    ids: Path | None = None
    """Text file below root, one id per line; None: all images."""


class CocoData(Pictures):
    """COCO 2014: train2014, val2014, annotations/instances_{train,val}2014.json."""

    kind: Literal["coco"]
    root: Path
    """Folder."""
    splits: Annotated[dict[Split, CocoSplit], AfterValidator(in_order)] = {}
    """Empty: those of COCO 2014."""

    @property
    def is_made(self) -> bool:
        """Whether a rule first makes a folder for the data set: its masks."""
        return True


class FolderData(Pictures):
    """Pictures of one's own: a folder of images and a table of labels; masks are optional."""

    kind: Literal["folder"]
    root: Path = "."
    """Folder that the other paths start at."""
    images: Path = "images"
    """Folder."""
    labels: Path | None = LABELS
    """Table: ``id,class,class,...`` or ``id,<class names as 0/1 columns>``, with an optional column split.
    None: each image is of the class in whose folder it lies; left out: ``labels.csv`` below root, or None
    where that is not there and the image folder has folders in it."""
    masks: Path | None = None
    """Folder of PNGs with 0 for background, 1.. for the classes, 255 for "do not score"; left out: ``masks``
    below root if that is there."""
    masks_values: Annotated[dict[MaskValue, Text], AfterValidator(in_order)] = {}
    """What the masks' values mean if not that: a class by its name, ``background`` or ``ignore``, for each
    value that occurs, such as ``{0: background, 255: cell}``."""
    long_side: LongSide | None = None
    """Pixels of the longer side at which larger pictures and their masks are read, by all stages and in use:
    class maps, pseudo labels and scores are of this size. The predictor sees new pictures so, too, and its
    labels have the pictures' own size. None: as they are."""
    classes: Annotated[list[Text], Field(min_length=1)] | Path | None = None
    """Names in order, or a text file with one name per line; a first ``background`` is left out. None takes
    the table's."""
    splits: Annotated[dict[Split, Path], AfterValidator(in_order)] = {}
    """List files of ids; empty: the table's column split, or all images are train."""

    @property
    def is_made(self) -> bool:
        """Whether a rule first makes a folder for the data set: pictures of another size, label maps."""
        return bool(self.masks_values or self.long_side)

    @model_validator(mode="after")
    def _masks(self) -> Self:
        if "masks" not in self.model_fields_set and (pathlib.Path(self.root) / MASKS).is_dir():
            self.masks = MASKS
        return self

    @model_validator(mode="after")
    def _labels(self) -> Self:
        root = pathlib.Path(self.root)
        if "labels" not in self.model_fields_set and not (root / LABELS).exists():
            images = root / self.images
            holds_folders = images.is_dir() and any(path.is_dir() for path in images.iterdir())
            self.labels = None if holds_folders else LABELS
        return self


Data = Annotated[SampleData | VocData | CocoData | FolderData, Field(discriminator="kind")]


class Sample(SampleData, Used):
    """Generated pictures of animals; needs nothing."""

    shards: Shards = 1
    val_shards: Shards = 1


class Voc(VocData, Used):
    """PASCAL VOC 2012: JPEGImages, Annotations, SegmentationClass, ImageSets/Segmentation."""

    shards: Shards = 48
    val_shards: Shards = 8


class Coco(CocoData, Used):
    """COCO 2014: train2014, val2014, annotations/instances_{train,val}2014.json."""

    shards: Shards = 96
    val_shards: Shards = 40
    keep: Kept = "maps"  # all views take 380 GB


class Folder(FolderData, Used):
    """Pictures of one's own: a folder of images and a table of labels; masks are optional."""

    shards: Shards = 4
    val_shards: Shards = 2
    inferences: Names = ["own", "own_crf"]
    main: MainChain = MainChain(
        classifier="own", method="adcam_n020", refiner="own", segmenter="own", inference="own_crf"
    )
    single_stage: SingleStages | None = SingleStages(
        main="apc_own",
        inferences=["own_320", "own_320_crf", "own_320_crf_tags"],
        inference="own_320_crf",
        pseudo=["own_320_crf_tags"],
        ablation=["apc_own"],
    )


Dataset = Annotated[Sample | Voc | Coco | Folder, Field(discriminator="kind")]


_DATA: TypeAdapter[Data] = TypeAdapter(Data)


def data_settings(dataset: Config) -> dict[str, Any]:
    """Those of a data set's settings that define its images and labels; not what is run on it, and how."""
    return {key: value for key, value in dataset.items() if key not in Used.model_fields}


def data_of(dataset: Config) -> Data:
    """The same as the model of the data set's kind."""
    return _DATA.validate_python(data_settings(dataset))
