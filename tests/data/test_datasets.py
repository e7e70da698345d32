"""What training reads."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.datasets import mask, picture
from wsss.artefacts.files import ArtefactError
from wsss.artefacts.formats import Record, read_image, write_labels
from wsss.data.datasets import ClassificationDataset, LabelDataset, SquareDataset
from wsss.data.sampler import Sample
from wsss.data.transforms import resize_square

COLOURS: dict[str, Any] = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}


@pytest.fixture
def records(tmp_path: Path) -> list[Record]:
    """Three images of 12x16 pixels: with one class, with two, with none."""
    for number in range(3):
        picture(tmp_path / f"{number}.png", (12, 16), number)
        mask(tmp_path / f"{number}_mask.png", (12, 16))
    shown = ((1,), (0, 2), ())
    return [
        Record(f"part/{number}", str(tmp_path / f"{number}.png"), None, 12, 16, classes, ("train",))
        for number, classes in enumerate(shown)
    ]


def tagged(records: list[Record], seed: int = 0) -> ClassificationDataset:
    return ClassificationDataset(records, 3, crop=14, rescale=[8, 20], seed=seed, **COLOURS)


@pytest.fixture
def labelled(records: list[Record], tmp_path: Path) -> LabelDataset:
    labels = [(record.id, np.full((12, 16), number, np.uint8)) for number, record in enumerate(records)]
    write_labels(tmp_path / "labels", tmp_path / "labels.jsonl", labels)
    folders = dict.fromkeys((record.id for record in records), tmp_path / "labels")
    return LabelDataset(records, folders, crop=14, scale=[0.5, 1.5], seed=0, **COLOURS)


def test_tags_are_multi_hot(records: list[Record]) -> None:
    dataset = tagged(records)
    assert len(dataset) == 3
    tags = [dataset[Sample(0, index)]["tags"] for index in range(3)]
    assert torch.equal(torch.stack(tags), torch.tensor([[0.0, 1, 0], [1, 0, 1], [0, 0, 0]]))


def test_images_have_the_crop_size(records: list[Record]) -> None:
    image = tagged(records)[Sample(5, 1)]["images"]
    assert image.shape == (3, 14, 14)
    assert image.dtype == torch.float32


def test_a_sample_depends_on_seed_and_position_alone(records: list[Record]) -> None:
    images = [tagged(records)[Sample(4, 1)]["images"] for _ in range(2)]
    assert torch.equal(*images)
    assert not torch.equal(images[0], tagged(records)[Sample(5, 1)]["images"])
    assert not torch.equal(images[0], tagged(records, seed=1)[Sample(4, 1)]["images"])


def test_label_and_image_are_padded_at_the_same_pixels(labelled: LabelDataset) -> None:
    padded = 0
    for position in range(20):
        sample = labelled[Sample(position, 2)]
        assert sample["images"].shape == (3, 14, 14)
        assert sample["labels"].shape == (14, 14)
        assert sample["labels"].dtype == torch.uint8
        void = sample["labels"] == 255
        assert set(sample["labels"][~void].unique().tolist()) == {2}
        assert not sample["images"][:, void].any()
        padded += int(void.any())
    assert 0 < padded <= 20
    assert len(labelled) == 3


def test_a_label_map_of_another_size_is_refused_by_name(labelled: LabelDataset, tmp_path: Path) -> None:
    mask(tmp_path / "labels" / "part" / "1.png", (5, 5))
    with pytest.raises(ArtefactError, match=r"part/1\.png: expected 16x12 pixels, found 5x5"):
        labelled[Sample(0, 1)]


def test_squares_hold_the_whole_image_or_its_mirror_image(records: list[Record]) -> None:
    dataset = SquareDataset(records, 3, side=8, seed=0, **COLOURS)
    samples = [dataset[Sample(position, 1)] for position in range(12)]
    assert torch.equal(samples[0]["tags"], torch.tensor([1.0, 0, 1]))
    whole = dataset.whole(resize_square(read_image(records[1]), 8))
    assert whole.shape == (3, 8, 8)
    mirrored = [torch.equal(sample["images"], whole.flip(-1)) for sample in samples]
    assert [torch.equal(sample["images"], whole) for sample in samples] == [not flip for flip in mirrored]
    assert 0 < sum(mirrored) < 12


def resized(labelled: LabelDataset, long_side: int | None) -> LabelDataset:
    return LabelDataset(
        labelled.sources,
        labelled.label_paths,
        crop=14,
        scale=[0.5, 1.5],
        long_side=long_side,
        seed=0,
        **COLOURS,
    )


def test_a_working_size_is_what_the_random_factors_are_of(labelled: LabelDataset) -> None:
    assert labelled.long_side is None
    larger = [label_pixels(resized(labelled, 32), position) for position in range(40)]
    own = [label_pixels(resized(labelled, 16), position) for position in range(40)]
    assert sum(larger) > sum(own)
    assert all(before <= after for before, after in zip(own, larger, strict=True))


def label_pixels(dataset: LabelDataset, position: int) -> int:
    return int((dataset[Sample(position, 1)]["labels"] != 255).sum())


@pytest.mark.parametrize("long_side", [None, 16])
def test_the_images_own_size_as_working_size_changes_nothing(
    labelled: LabelDataset, long_side: int | None
) -> None:
    for position in range(6):
        expected, found = labelled[Sample(position, 0)], resized(labelled, long_side)[Sample(position, 0)]
        assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_a_working_size_by_hand(labelled: LabelDataset) -> None:
    """Of factor 1 alone, an image of 12 x 16 pixels fills 9 x 12 of a square of 14."""
    dataset = LabelDataset(
        labelled.sources, labelled.label_paths, crop=14, scale=[1, 1], long_side=12, seed=0, **COLOURS
    )
    assert label_pixels(dataset, 0) == 9 * 12
