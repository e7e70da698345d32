import numpy as np
import pytest
import torch

from wsss.config.networks import Crf
from wsss.config.refiners import Above, Below
from wsss.methods.labels import irn_labels, label_thresholds, pseudo_labels

CRF = Crf(
    iterations=10,
    gaussian_sxy=3,
    gaussian_compat=3,
    bilateral_sxy=50,
    bilateral_srgb=5,
    bilateral_compat=10,
)
IRN = {"foreground": 0.3, "background": 0.05, "gt_prob": 0.7, "crf": CRF}
ABOVE, BELOW = Above(above=0.12), Below(below=0.1)


@pytest.mark.parametrize("name", ["a", "b"])
@pytest.mark.parametrize("wrap", [np.asarray, torch.tensor])
def test_irn_labels_agree_with_the_recorded_ones(golden, name, wrap):
    arrays = golden("irn")
    image, maps, keys = (arrays[f"irlabel_{name}_{part}"] for part in ("rgb", "cam_high_res", "keys"))
    labels = irn_labels(image, wrap(maps), keys, **IRN)
    assert labels.dtype == np.uint8
    assert np.array_equal(labels, arrays[f"irlabel_{name}_out"])


def test_irn_labels_by_hand():
    image = np.repeat(np.array([0, 90, 180], np.uint8), 6)[None, :, None].repeat(8, 0).repeat(3, 2)
    maps = np.repeat([0.0, 0.2, 0.9], 6)[None, None].repeat(8, 1)  # background, unsure, object
    labels = irn_labels(image, maps, [4], **IRN)
    assert [set(labels[:, i : i + 6].ravel().tolist()) for i in (0, 6, 12)] == [{0}, {255}, {5}]


def test_an_image_without_classes_is_background():
    image = np.zeros((4, 5, 3), np.uint8)
    assert (irn_labels(image, np.zeros((0, 4, 5)), [], **IRN) == 0).all()
    assert (pseudo_labels(np.zeros((0, 4, 5)), [], 0.3) == 0).all()


def test_pseudo_labels_by_hand():
    maps = torch.tensor([[[0.1, 0.5, 0.4]], [[0.2, 0.25, 0.4]]])
    assert pseudo_labels(maps, [7, 2], 0.25).tolist() == [[0, 8, 8]]


def test_background_wins_ties():
    assert pseudo_labels(np.array([[[0.25, 0.26]]]), [0], 0.25).tolist() == [[0, 1]]
    assert pseudo_labels(np.zeros((2, 1, 1)), [0, 1], 0.0).tolist() == [[0]]


def test_the_threshold_is_compared_in_the_precision_of_the_maps():
    assert pseudo_labels(np.array([[[0.1]]], np.float32), [0], 0.1).tolist() == [[0]]


def test_label_thresholds_by_hand():
    assert label_thresholds(0.3, 0.05, None) == (0.3, 0.05)
    assert label_thresholds(ABOVE, BELOW, 0.5) == pytest.approx((0.62, 0.4))
    assert label_thresholds(ABOVE, 0.05, 0.5) == pytest.approx((0.62, 0.05))
    assert label_thresholds(0.3, BELOW, 0.5) == pytest.approx((0.3, 0.4))


def test_relative_label_thresholds_stop_half_way_to_the_ends():
    assert label_thresholds(ABOVE, BELOW, 0.9) == pytest.approx((0.95, 0.8))
    assert label_thresholds(ABOVE, BELOW, 0.1) == pytest.approx((0.22, 0.05))
    for threshold in np.linspace(0, 1, 21):
        foreground, background = label_thresholds(ABOVE, BELOW, threshold)
        assert 0 <= background <= threshold <= foreground <= 1
    with pytest.raises(ValueError, match=r"foreground: expected a threshold of the map .*, found None"):
        label_thresholds(ABOVE, 0.05, None)
    with pytest.raises(
        ValueError, match=r"background: expected a threshold of the map in 0\.\.1 .*, found 1.5"
    ):
        label_thresholds(0.3, BELOW, 1.5)


def test_refuses_bad_input():
    image = np.zeros((4, 5, 3), np.uint8)
    with pytest.raises(ValueError, match=r"maps: expected \(2, H, W\), found \(1, 4, 5\)"):
        pseudo_labels(np.zeros((1, 4, 5)), [0, 1], 0.3)
    with pytest.raises(ValueError, match=r"classes: expected 0 to 253, found \[254\]"):
        pseudo_labels(np.zeros((1, 4, 5)), [254], 0.3)
    with pytest.raises(ValueError, match=r"found \[-1\]"):
        pseudo_labels(np.zeros((1, 4, 5)), [-1], 0.3)
    with pytest.raises(ValueError, match=r"image: expected uint8 \(4, 6, 3\), found uint8 \(4, 5, 3\)"):
        irn_labels(image, np.zeros((1, 4, 6)), [0], **IRN)
