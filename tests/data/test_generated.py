"""The generated scenes are what they are said to be."""

import numpy as np
import pytest

from wsss.data.generated import (
    PRETRAIN_MARKINGS,
    SAMPLE_CLASSES,
    SAMPLE_MARKINGS,
    pretrain_images,
    sample_scene,
    sample_scenes,
)

SIDE = (64, 96)


@pytest.fixture(scope="module")
def scenes() -> list:
    return list(sample_scenes(0, 0, 40, SIDE))


def test_sizes_and_types(scenes: list) -> None:
    sizes = {scene.image.shape[:2] for scene in scenes}
    assert all(SIDE[0] <= side <= SIDE[1] for size in sizes for side in size)
    assert any(height != width for height, width in sizes)
    assert any(side % 16 for size in sizes for side in size)
    for scene in scenes:
        assert scene.image.dtype == scene.mask.dtype == np.uint8
        assert scene.mask.shape == scene.image.shape[:2]


def test_masks_hold_the_classes(scenes: list) -> None:
    for scene in scenes:
        assert set(np.unique(scene.mask)) == {0, *(index + 1 for index in scene.classes)}


def test_all_classes_occur_and_some_images_show_two(scenes: list) -> None:
    assert {index for scene in scenes for index in scene.classes} == set(range(len(SAMPLE_CLASSES)))
    assert {len(scene.classes) for scene in scenes} == {1, 2}


def test_an_image_depends_on_its_own_seed_alone(scenes: list) -> None:
    again = list(sample_scenes(0, 0, 3, SIDE))
    for one, other in zip(scenes, again, strict=False):
        assert np.array_equal(one.image, other.image)
        assert np.array_equal(one.mask, other.mask)
    assert not np.array_equal(scenes[0].image[:60, :60], next(sample_scenes(1, 0, 1, SIDE)).image[:60, :60])
    assert not np.array_equal(scenes[0].image[:60, :60], next(sample_scenes(0, 1, 1, SIDE)).image[:60, :60])


def test_small_pictures_can_be_painted() -> None:
    for position in range(5):
        scene = sample_scene(position, (32, 40), np.random.default_rng(position))
        assert scene.mask.any()


def test_pretraining_has_other_classes() -> None:
    ours = set(SAMPLE_MARKINGS.values())
    assert not ours & set(PRETRAIN_MARKINGS)
    assert not {marking.pattern for marking in ours} & {marking.pattern for marking in PRETRAIN_MARKINGS}
    images = list(pretrain_images(32, 0))
    assert [index for _, index in images] == [*range(30), 0, 1]
    assert np.array_equal(images[1][0], list(pretrain_images(2, 0))[1][0])
