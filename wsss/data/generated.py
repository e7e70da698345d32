"""The generated data set, a small likeness of the real problem, and the images that its networks start from.

What a class is can be told from a small part of each animal, its marked head; the truth is the whole animal.
Each class lives mostly, not always, on a ground of its own. Some images show two classes. The images for
pretraining show one animal each, of other classes, on any ground. As with ImageNet's classes, the whole
object tells them: which of ten markings the head has, and which of three coats the body.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wsss.data.painter import COATS, GROUNDS, Field, Marking, Painted, paint_animal, paint_ground, to_pixels

SAMPLE_MARKINGS = {
    "lurin": Marking(0, (0.00, 0.16)),
    "moke": Marking(1, (0.14, 0.80)),
    "pell": Marking(2, (0.33, 0.95)),
    "siskar": Marking(3, (0.58, 0.08)),
    "tavel": Marking(4, (0.78, 0.45)),
}
SAMPLE_CLASSES = tuple(SAMPLE_MARKINGS)
PRETRAIN_MARKINGS = tuple(
    Marking(pattern, (0.1 * step, 0.1 * step + 0.3)) for step, pattern in enumerate(range(5, 15))
)
PRETRAIN_CLASSES = len(PRETRAIN_MARKINGS) * COATS

HOME_SHARE = 0.7  # of the images of a class, those on its own ground
PAIR_SHARE = 0.35  # of the images, those that show a second class
VISIBLE_SHARE = 0.75  # of an animal and of its head, what must be seen

Size = tuple[int, int]


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
    classes = [first, int(rng.choice(others))] if rng.random() < PAIR_SHARE else [first]
    markings = [SAMPLE_MARKINGS[SAMPLE_CLASSES[index]] for index in classes]
    image, which = _paint(_draw_size(side, rng), ground, markings, rng)
    labels = np.array([0, *(index + 1 for index in classes)], np.uint8)
    return Scene(image, labels[which], tuple(sorted(classes)))


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


def pretrain_images(
    count: int, seed: int, side: Sequence[int] = (64, 96)
) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """Paint images of one animal each, of classes that the generated data set does not have.

    Args:
        count: Number of images.
        seed: Seed of the images.
        side: Shortest and longest side in pixels.

    Yields:
        Pictures uint8 (H, W, 3) and their class, 0..``PRETRAIN_CLASSES - 1``.
    """
    for position in range(count):
        rng = np.random.default_rng([seed, position])
        index = position % PRETRAIN_CLASSES
        marking, coat = divmod(index, COATS)
        ground = int(rng.integers(len(GROUNDS)))
        yield _paint(_draw_size(side, rng), ground, [PRETRAIN_MARKINGS[marking]], rng, coat)[0], index


def _draw_size(side: Sequence[int], rng: np.random.Generator) -> Size:
    height, width = rng.integers(side[0], side[1] + 1, 2)
    return int(height), int(width)


def _paint(
    size: Size, ground: int, markings: Sequence[Marking], rng: np.random.Generator, coat: int | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Paint animals on a ground; again, with other chance, until enough of each is seen.

    Returns:
        The picture, and the number of the animal at each pixel, uint8 (H, W), 0 for none.
    """
    while True:
        picture = paint_ground(size, ground, rng)
        places = _places(size, len(markings), rng)
        animals = [
            paint_animal(picture, centre, length, marking, rng, coat)
            for (centre, length), marking in zip(places, markings, strict=True)
        ]
        which = np.zeros(size, np.uint8)
        for number, animal in enumerate(animals, start=1):
            which[animal.body] = number
        if all(_is_seen(animal, which == number) for number, animal in enumerate(animals, start=1)):
            return to_pixels(picture, rng), which


def _places(size: Size, count: int, rng: np.random.Generator) -> list[tuple[Field, float]]:
    """Centres and lengths of animals, side by side along the picture's longer side, in any order."""
    longer = int(np.argmax(size))
    shares = rng.permutation((np.arange(count) + 0.5) / count)
    places = []
    for share in shares:
        centre = np.array(size) * rng.uniform(0.42, 0.58, 2)
        centre[longer] = size[longer] * (share + rng.uniform(-0.08, 0.08))
        places.append((centre, min(size) * rng.uniform(0.62, 0.95) * (1.0, 0.8)[count - 1]))
    return places


def _is_seen(animal: Painted, visible: NDArray[np.bool_]) -> bool:
    """Whether another animal leaves enough of an animal, and the picture's rim enough of its head."""
    return bool(
        (animal.body & visible).sum() >= VISIBLE_SHARE * animal.body.sum()
        and (animal.head & visible).sum() >= VISIBLE_SHARE * animal.head_area
    )
