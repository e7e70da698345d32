"""The generated data set, a small likeness of the real problem, and the images that its networks start from.

What a class is shows best in a small part of each animal, the mark on its head, and more weakly in its build
and its coat; the truth is the whole animal, which hangs together by its looks. Each class lives mostly, not
always, on a ground of its own. Some images show two classes.

The images for pretraining are to these what ImageNet is to PASCAL VOC: many images of many other classes,
one to three animals an image, on any ground. A class there is a mark, a build and a coat together, none of
which would do alone; which of them belong together only the animal tells. As with WordNet's words for
ImageNet, an image's labels are its classes and their families: all of one mark, of one build, of one coat.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wsss.data.animals import BUILDS, COATS, Animal, Kind, Mark, paint_animal, place_animal
from wsss.data.painter import GROUNDS, Size, paint_ground, to_pixels

SAMPLE_KINDS = {
    "lurin": Kind(0, 1, Mark(0, 0.00)),
    "moke": Kind(1, 2, Mark(1, 0.80)),
    "pell": Kind(2, 5, Mark(2, 0.33)),
    "siskar": Kind(4, 0, Mark(3, 0.58)),
    "tavel": Kind(5, 3, Mark(4, 0.16)),
}
SAMPLE_CLASSES = tuple(SAMPLE_KINDS)
LIKENESS = (
    0.6  # of a class's animals, those that have its build; and of these and the others, those with its coat
)

PRETRAIN_MARKS = tuple(Mark(5 + number % 10, 0.02 + number / 12) for number in range(12))
# A mark is on nine classes, a build on 13 or 14, a coat on 18, a build with a coat on three at most.
PRETRAIN_KINDS = tuple(
    Kind((mark + row) % len(BUILDS), (mark + 3 * row + row // 2) % COATS, PRETRAIN_MARKS[mark])
    for row in range(9)
    for mark in range(len(PRETRAIN_MARKS))
)

PRETRAIN_LABELS = len(PRETRAIN_KINDS) + len(PRETRAIN_MARKS) + len(BUILDS) + COATS  # classes, then families

HOME_SHARE = 0.7  # of the images of a class, those on its own ground
PAIR_SHARE = 0.35  # of the images, those that show a second class
PRETRAIN_SHARES = (
    0.45,
    0.45,
    0.1,
)  # of the images for pretraining, those that show one, two and three classes
VISIBLE_SHARE = 0.75  # of an animal and of its head, what must be seen


class Scene(NamedTuple):
    """A picture uint8 (H, W, 3), its label map uint8 (H, W), and the classes it shows, 0-based."""

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    classes: tuple[int, ...]


def sample_scene(position: int, side: Sequence[int], rng: np.random.Generator) -> Scene:
    """Paint one image of the generated data set.

    Args:
        position: Number of the image in its split; its first class follows from it, so that all occur.
        side: Shortest and longest side in pixels; height and width are drawn independently.
        rng: Source of chance.

    Returns:
        The scene; its label map has 0 for the ground and 1..5 for the classes.
    """
    count = len(SAMPLE_CLASSES)
    first = position % count
    others = [index for index in range(count) if index != first]
    ground = first if rng.random() < HOME_SHARE else int(rng.choice(others))
    classes = (first, int(rng.choice(others))) if rng.random() < PAIR_SHARE else (first,)
    kinds = [_relative(SAMPLE_KINDS[SAMPLE_CLASSES[index]], rng) for index in classes]
    return _paint(_draw_size(side, rng), ground, kinds, classes, rng)


def sample_scenes(seed: int, split: int, count: int, side: Sequence[int]) -> Iterator[Scene]:
    """Paint a split of the generated data set; each image has a seed of its own.

    Args:
        seed: Seed of the data set.
        split: Number of the split.
        count: Number of images.
        side: Shortest and longest side in pixels.

    Yields:
        The scenes.
    """
    for position in range(count):
        yield sample_scene(position, side, np.random.default_rng([seed, split, position]))


def pretrain_scene(position: int, side: Sequence[int], seed: int) -> Scene:
    """Paint one image of one to three animals, of classes that the generated data set does not have.

    Args:
        position: Number of the image; its first class follows from it, so that all occur equally.
        side: Shortest and longest side in pixels.
        seed: Seed of all images; each has its own, of this and its position.

    Returns:
        The scene; its label map has 0 for the ground and 1..108 for the classes.
    """
    rng = np.random.default_rng([seed, position])
    total = len(PRETRAIN_KINDS)
    shown = 1 + int(rng.choice(len(PRETRAIN_SHARES), p=PRETRAIN_SHARES))
    first = position % total
    others = (first + 1 + rng.choice(total - 1, shown - 1, replace=False)) % total
    classes = (first, *(int(other) for other in others))
    ground = int(rng.integers(len(GROUNDS)))
    return _paint(_draw_size(side, rng), ground, [PRETRAIN_KINDS[index] for index in classes], classes, rng)


def pretrain_labels(classes: Sequence[int]) -> tuple[int, ...]:
    """The labels of an image for pretraining that shows ``classes``: these, and their families."""
    mark, build = len(PRETRAIN_KINDS), len(PRETRAIN_KINDS) + len(PRETRAIN_MARKS)
    kinds = [PRETRAIN_KINDS[index] for index in classes]
    marks = {mark + PRETRAIN_MARKS.index(kind.mark) for kind in kinds}
    builds, coats = (
        {build + kind.build for kind in kinds},
        {build + len(BUILDS) + kind.coat for kind in kinds},
    )
    return tuple(sorted({*classes} | marks | builds | coats))


def _relative(kind: Kind, rng: np.random.Generator) -> Kind:
    """An animal of a class: always its mark, mostly its build and coat."""
    build = kind.build if rng.random() < LIKENESS else int(rng.integers(len(BUILDS)))
    coat = kind.coat if rng.random() < LIKENESS else int(rng.integers(COATS))
    return Kind(build, coat, kind.mark)


def _draw_size(side: Sequence[int], rng: np.random.Generator) -> Size:
    height, width = rng.integers(side[0], side[1] + 1, 2)
    return int(height), int(width)


def _paint(
    size: Size, ground: int, kinds: Sequence[Kind], classes: Sequence[int], rng: np.random.Generator
) -> Scene:
    """Place animals, again until enough of each is seen, and paint them on a ground."""
    while True:
        places = _places(size, len(kinds), rng)
        animals = [
            place_animal(size, centre, length, kind.build, rng)
            for (centre, length), kind in zip(places, kinds, strict=True)
        ]
        which = np.zeros(size, np.uint8)
        for number, animal in enumerate(animals, start=1):
            which[animal.outline < 0] = number
        if all(_is_seen(animal, which == number) for number, animal in enumerate(animals, start=1)):
            break
    picture = paint_ground(size, ground, rng)
    for animal, kind in zip(animals, kinds, strict=True):
        paint_animal(picture, animal, kind, rng)
    labels = np.array([0, *(index + 1 for index in classes)], np.uint8)
    return Scene(to_pixels(picture, rng), labels[which], tuple(sorted(classes)))


def _places(size: Size, count: int, rng: np.random.Generator) -> list[tuple[tuple[float, float], float]]:
    """Centres and lengths of animals, side by side along the picture's longer side, in any order."""
    longer = int(np.argmax(size))
    shares = rng.permutation((np.arange(count) + 0.5) / count)
    places = []
    for share in shares:
        centre = (
            np.array(size) * rng.uniform(0.42, 0.58, 2)
            if count < 3
            else np.array(size) * rng.uniform(0.25, 0.75, 2)
        )
        centre[longer] = size[longer] * (share + rng.uniform(-0.08, 0.08))
        length = min(size) * rng.uniform(0.62, 0.95) * (1.0, 0.8, 0.62)[count - 1]
        places.append(((float(centre[0]), float(centre[1])), length))
    return places


def _is_seen(animal: Animal, visible: NDArray[np.bool_]) -> bool:
    """Whether another animal leaves enough of an animal, and the picture's rim enough of its head."""
    whole, head = animal.outline < 0, animal.head < 0
    return bool(
        (whole & visible).sum() >= VISIBLE_SHARE * whole.sum()
        and (head & visible).sum() >= VISIBLE_SHARE * animal.head_area
    )
