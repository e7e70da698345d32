"""The generated scenes are what they are said to be."""

from collections import Counter

import numpy as np
import pytest

from wsss.data.animals import BUILDS, COATS
from wsss.data.generated import (
    PRETRAIN_KINDS,
    PRETRAIN_LABELS,
    PRETRAIN_MARKS,
    SAMPLE_CLASSES,
    SAMPLE_KINDS,
    Scene,
    pretrain_labels,
    pretrain_scene,
    sample_scene,
    sample_scenes,
)

SIDE = (64, 96)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return list(sample_scenes(0, 0, 40, SIDE))


@pytest.fixture(scope="module")
def pretraining() -> list[Scene]:
    return [pretrain_scene(position, SIDE, 0) for position in range(40)]


@pytest.mark.parametrize("name", ["scenes", "pretraining"])
def test_sizes_and_types(name: str, request: pytest.FixtureRequest) -> None:
    painted = request.getfixturevalue(name)
    sizes = {scene.image.shape[:2] for scene in painted}
    assert all(SIDE[0] <= side <= SIDE[1] for size in sizes for side in size)
    assert any(height != width for height, width in sizes)
    assert any(side % 16 for size in sizes for side in size)
    for scene in painted:
        assert scene.image.dtype == scene.mask.dtype == np.uint8
        assert scene.mask.shape == scene.image.shape[:2]


@pytest.mark.parametrize("name", ["scenes", "pretraining"])
def test_masks_hold_the_classes(name: str, request: pytest.FixtureRequest) -> None:
    for scene in request.getfixturevalue(name):
        assert list(scene.classes) == sorted(set(scene.classes))
        assert set(np.unique(scene.mask)) == {0, *(index + 1 for index in scene.classes)}


def test_all_classes_occur_and_some_images_show_two(scenes: list[Scene]) -> None:
    assert {index for scene in scenes for index in scene.classes} == set(range(len(SAMPLE_CLASSES)))
    assert {len(scene.classes) for scene in scenes} == {1, 2}


def test_an_image_depends_on_its_own_seed_alone(scenes: list[Scene]) -> None:
    again = list(sample_scenes(0, 0, 3, SIDE))
    for one, other in zip(scenes, again, strict=False):
        assert np.array_equal(one.image, other.image)
        assert np.array_equal(one.mask, other.mask)
    assert not np.array_equal(scenes[0].image[:60, :60], next(sample_scenes(1, 0, 1, SIDE)).image[:60, :60])
    assert not np.array_equal(scenes[0].image[:60, :60], next(sample_scenes(0, 1, 1, SIDE)).image[:60, :60])


def test_an_image_for_pretraining_follows_from_seed_and_position(pretraining: list[Scene]) -> None:
    again = pretrain_scene(7, SIDE, 0)
    assert np.array_equal(again.image, pretraining[7].image)
    assert np.array_equal(again.mask, pretraining[7].mask)
    assert not np.array_equal(pretrain_scene(7, SIDE, 1).image[:60, :60], again.image[:60, :60])


def test_small_pictures_can_be_painted() -> None:
    for position in range(5):
        assert sample_scene(position, (32, 40), np.random.default_rng(position)).mask.any()
        assert pretrain_scene(position, (32, 40), 0).mask.any()


def test_pretraining_has_many_other_classes(pretraining: list[Scene]) -> None:
    assert len(set(PRETRAIN_KINDS)) == len(PRETRAIN_KINDS) >= 60
    ours = {kind.mark for kind in SAMPLE_KINDS.values()}
    assert not {mark.pattern for mark in ours} & {mark.pattern for mark in PRETRAIN_MARKS}
    assert not {mark.hue for mark in ours} & {mark.hue for mark in PRETRAIN_MARKS}
    assert all(position in scene.classes for position, scene in enumerate(pretraining))
    assert {len(scene.classes) for scene in pretraining} == {1, 2, 3}


def test_mark_build_and_coat_all_tell_something_of_a_class_in_pretraining() -> None:
    total = len(PRETRAIN_KINDS)
    for what, values in (("mark", len(PRETRAIN_MARKS)), ("build", len(BUILDS)), ("coat", COATS)):
        counts = Counter(getattr(kind, what) for kind in PRETRAIN_KINDS)
        assert len(counts) == values
        assert max(counts.values()) <= total / values + 1  # alone it leaves as many classes as can be
    for pair in (("mark", "build"), ("mark", "coat"), ("build", "coat")):
        left = Counter(tuple(getattr(kind, what) for what in pair) for kind in PRETRAIN_KINDS)
        assert 1 < max(left.values()) <= 3


def test_a_class_of_the_sample_shows_in_its_mark_always_and_in_its_looks_mostly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []
    monkeypatch.setattr(
        "wsss.data.generated.paint_animal", lambda picture, animal, kind, rng: seen.append(kind)
    )
    for position in range(0, 400, 5):  # first of all the same class
        sample_scene(position, (32, 40), np.random.default_rng(position))
    own = SAMPLE_KINDS[SAMPLE_CLASSES[0]]
    animals = [kind for kind in seen if kind.mark == own.mark]
    assert len(animals) == 80
    for what in ("build", "coat"):
        share = np.mean([getattr(kind, what) == getattr(own, what) for kind in animals])
        assert 0.5 < share < 0.85


def test_labels_of_pretraining_are_the_classes_and_their_families() -> None:
    """Class 14 has mark 2 (14 = 12 + 2), so build 3 and coat (2 + 3) % 6 = 5."""
    assert PRETRAIN_KINDS[14] == (3, 5, PRETRAIN_MARKS[2])
    assert pretrain_labels([14]) == (14, 108 + 2, 120 + 3, 128 + 5)
    every = [pretrain_labels([index]) for index in range(len(PRETRAIN_KINDS))]
    assert len(set(every)) == len({labels[1:] for labels in every}) == len(PRETRAIN_KINDS)
    assert {label for labels in every for label in labels} == set(range(PRETRAIN_LABELS))
    assert pretrain_labels([2, 14]) == (2, 14, 110, 122, 123, 130, 133)  # they share the mark
