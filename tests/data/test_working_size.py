"""The size at which large pictures are read."""

import numpy as np
import pytest

from wsss.data.transforms import rescale
from wsss.data.working_size import Size, labels_at, picture_at, working_size
from wsss.methods.void import VOID


@pytest.mark.parametrize(
    ("size", "long_side", "read"),
    [
        ((3000, 4000), 640, (480, 640)),
        ((4000, 3000), 640, (640, 480)),
        ((3000, 4000), None, (3000, 4000)),
        ((480, 640), 640, (480, 640)),
        ((100, 90), 640, (100, 90)),  # nothing is enlarged
        ((10000, 3), 100, (100, 1)),
        ((333, 1000), 100, (33, 100)),
    ],
)
def test_the_shape_stays(size: Size, long_side: int | None, read: Size) -> None:
    assert working_size(size, long_side) == read
    assert working_size(read, long_side) == read


def test_a_picture_is_what_the_predictor_makes_of_it() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (90, 121, 3), np.uint8)
    size = working_size((90, 121), 50)
    assert np.array_equal(picture_at(picture, size), rescale(picture, 50 / 121))


def test_labels_are_never_mixed() -> None:
    labels = np.zeros((60, 80), np.uint8)
    labels[:32, :40], labels[:, 40:] = VOID, 7
    small = labels_at(labels, (15, 20))
    assert small[:8].tolist() == [[VOID] * 10 + [7] * 10] * 8
    assert small[8:].tolist() == [[0] * 10 + [7] * 10] * 7
