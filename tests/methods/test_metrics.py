import numpy as np
import pytest
import torch

from tests.golden import assert_close_to_golden
from wsss.methods.labels import pseudo_labels
from wsss.methods.metrics import confusion, scores, threshold_counts

THRESHOLDS = [index / 100 for index in range(60)]
MAPS = np.random.default_rng(0).random((1, 3, 4))


def test_by_hand():
    truth = np.array([[0, 0, 1, 1, 2, 255]], np.uint8)
    prediction = np.array([[0, 1, 1, 255, 2, 2]], np.uint8)
    counts = confusion(prediction, truth, 4)
    assert counts.dtype == np.int64
    assert counts.tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    found = scores(counts)
    np.testing.assert_allclose(found.iou, [1 / 3, 1 / 3, 1, np.nan])
    assert np.isnan([found.fp[3], found.fn[3]]).all()
    assert found.means["miou"] == pytest.approx((1 / 3 + 1 / 3 + 1) / 3)
    assert (found.means["mean_fp"], found.means["mean_fn"]) == pytest.approx((1 / 6, 1 / 6))
    assert found.means["pixel_accuracy"] == pytest.approx(3 / 5)
    assert found.means["f1"] == pytest.approx((0.5 + 0.5 + 1) / 3)


@pytest.mark.parametrize("images", ["full", "part"])
def test_agrees_with_the_recorded_scores(golden, images):
    arrays = golden("evaluation")
    pairs = [(arrays[f"{images}_pred{i}"], arrays[f"{images}_gt{i}"]) for i in count(arrays, images)]
    counts = sum(confusion(prediction, truth, 21) for prediction, truth in pairs)
    assert np.array_equal(counts, arrays[f"{images}_irn_confusion"])
    found = scores(counts)
    for part in ("iou", "fp", "fn"):
        assert_close_to_golden(getattr(found, part), arrays[f"{images}_irn_{part}"], 1e-9)
    assert found.means["miou"] == pytest.approx(arrays[f"{images}_irn_summary"][4], rel=1e-9)
    if images == "full":  # with an absent class the recorded plain means are NaN
        assert found.means["mean_fp"] == pytest.approx(arrays["full_irn_summary"][2], rel=1e-9)
        assert found.means["mean_fn"] == pytest.approx(arrays["full_irn_summary"][3], rel=1e-9)
    else:
        assert found.means["pixel_accuracy"] == pytest.approx(arrays["part_deeplab_scores"][0], rel=1e-9)


def count(arrays, images):
    return range(sum(name.startswith(f"{images}_gt") for name in arrays))


def test_iou_fp_and_fn_sum_to_one():
    found = scores(np.random.default_rng(0).integers(0, 1000, (7, 7)))
    np.testing.assert_allclose(found.iou + found.fp + found.fn, np.ones(7))


def test_large_counts_do_not_overflow():
    found = scores(np.array([[2**40, 0], [0, 2**33]]))
    assert found.means["miou"] == found.means["pixel_accuracy"] == found.means["f1"] == 1.0


def test_sweep_agrees_with_the_recorded_scores(golden):
    arrays = golden("evaluation")
    counts = sum(
        threshold_counts(
            arrays[f"sweep_cam{i}"],
            arrays[f"sweep_keys{i}"],
            arrays[f"sweep_gt{i}"],
            THRESHOLDS,
            21,
        )
        for i in count(arrays, "sweep")
    )
    right = counts.diagonal(axis1=1, axis2=2)
    union = counts.sum(1) + counts.sum(2) - right
    # recorded: percent, all 21 classes, absent ones as 0
    assert_close_to_golden((100 * right / (union + 1e-10)).mean(1), arrays["sweep_seam_miou"], 1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("classes", [[], [3], [3, 0], [2, 0, 3]])
def test_sweep_agrees_with_one_labelling_a_threshold(classes, dtype):
    rng = np.random.default_rng(len(classes))
    maps = rng.integers(0, 9, (len(classes), 20, 30)).astype(dtype) / 8  # many ties
    truth = rng.integers(0, 5, (20, 30), np.uint8)
    truth[:4] = 255
    thresholds = [0.0, 0.1, 0.125, 0.125, 0.5, 1.0]
    counts = threshold_counts(maps, classes, truth, thresholds, 5)
    assert counts.dtype == np.int64 and counts.shape == (6, 5, 5)
    for found, threshold in zip(counts, thresholds, strict=True):
        labels = pseudo_labels(torch.from_numpy(maps), classes, threshold)
        assert np.array_equal(found, confusion(labels, truth, 5))


def test_sweep_counts_every_known_pixel_once():
    maps, truth = np.random.default_rng(0).random((2, 9, 9)), np.zeros((9, 9), np.uint8)
    counts = threshold_counts(maps, [0, 1], truth, THRESHOLDS, 3)
    assert counts.sum((1, 2)).tolist() == [81] * len(THRESHOLDS)


def test_an_image_of_unknown_pixels_counts_nothing():
    unknown = np.full((3, 4), 255, np.uint8)
    assert confusion(np.zeros((3, 4), np.uint8), unknown, 3).sum() == 0
    assert threshold_counts(MAPS, [0], unknown, [0.1], 3).sum() == 0


@pytest.mark.filterwarnings("error")
def test_labels_that_may_not_be_written_are_counted():
    labels = np.ones((3, 4), np.uint8)
    labels.setflags(write=False)
    assert confusion(labels, labels, 2)[1, 1] == 12
    assert threshold_counts(MAPS, [0], labels, [2.0], 2)[0, 1, 0] == 12


def test_refuses_bad_input():
    labels = np.zeros((3, 4), np.uint8)
    beyond = labels.copy()
    beyond[0] = 3
    with pytest.raises(ValueError, match=r"prediction: expected \(3, 4\), found \(4, 3\)"):
        confusion(labels.T, labels, 3)
    with pytest.raises(ValueError, match="truth: expected labels 0 to 2, found 0 to 3"):
        confusion(labels, beyond, 3)
    with pytest.raises(ValueError, match="prediction: expected labels 0 to 2, found 7 to 7"):
        confusion(labels + 7, labels, 3)
    with pytest.raises(ValueError, match=r"confusion: expected integers \(C, C\), found int64 \(2, 3\)"):
        scores(np.zeros((2, 3), np.int64))
    with pytest.raises(ValueError, match="found float64"):
        scores(np.zeros((3, 3)))
    with pytest.raises(ValueError, match=r"maps: expected \(K, H, W\) = \(2, 3, 4\), found \(1, 3, 4\)"):
        threshold_counts(MAPS, [0, 1], labels, [0.1], 3)
    with pytest.raises(ValueError, match="thresholds: expected ascending"):
        threshold_counts(MAPS, [0], labels, [0.2, 0.1], 3)
    with pytest.raises(ValueError, match="classes: expected labels 0 to 2, found 6 to 6"):
        threshold_counts(MAPS, [5], labels, [0.1], 3)
