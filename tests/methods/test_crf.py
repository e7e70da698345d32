import subprocess
import sys

import numpy as np
import pytest

from wsss.config.networks import Crf
from wsss.methods import crf
from wsss.methods.crf import dense_crf, label_crf

DEEPLAB = Crf(**crf.DEEPLAB)


@pytest.mark.parametrize(("image", "variant"), [("crf_bgr", "right"), ("crf_bgr_wrapped", "buggy")])
def test_agrees_with_the_recorded_marginals(golden, image, variant):
    arrays = golden("deeplab")
    refined = dense_crf(arrays[image], arrays["crf_prob"], DEEPLAB)
    assert refined.dtype == np.float32
    np.testing.assert_allclose(refined, arrays[f"crf_q_{variant}"], rtol=0, atol=1e-3)
    assert np.array_equal(refined.argmax(0), arrays[f"crf_label_{variant}"])


def test_a_lone_dissenter_follows_its_colour():
    image = np.zeros((8, 10, 3), np.uint8)
    image[:, 5:] = 255
    probabilities = np.zeros((2, 8, 10))
    probabilities[0, :, :5] = probabilities[1, :, 5:] = 0.8
    probabilities[0, 4, 7] = 0.8  # one pixel says otherwise
    probabilities[:, :, :] /= np.maximum(probabilities.sum(0), 0.8)
    probabilities[1] = 1 - probabilities[0]
    labels = dense_crf(image, probabilities, DEEPLAB).argmax(0)
    assert (labels[:, :5] == 0).all() and (labels[:, 5:] == 1).all()


def test_probabilities_sum_to_one():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (9, 7, 3), np.uint8)
    refined = dense_crf(image, rng.dirichlet(np.ones(4), (9, 7)).transpose(2, 0, 1), DEEPLAB)
    np.testing.assert_allclose(refined.sum(0), 1, atol=1e-5)


def test_a_single_class_is_certain():
    image = np.zeros((5, 6, 3), np.uint8)
    assert (dense_crf(image, np.full((1, 5, 6), 0.3), DEEPLAB) == 1).all()
    assert (label_crf(image, np.zeros((5, 6), int), 1, 0.7, DEEPLAB) == 0).all()


def test_label_crf_agrees_with_the_recorded_labels(golden):
    arrays, settings = (
        golden("irn"),
        {"gaussian_sxy": 3, "bilateral_sxy": 50, "bilateral_srgb": 5, "bilateral_compat": 10},
    )
    settings = DEEPLAB.model_copy(update=settings)
    for name, count in (("a", 3), ("b", 2)):
        local = arrays[f"irlabel_{name}_fg_argmax_nocrf"]
        cleaned = label_crf(arrays[f"irlabel_{name}_rgb"], local, count, 0.7, settings)
        assert np.array_equal(cleaned, arrays[f"irlabel_{name}_fg_crf"])


def test_the_image_is_left_alone_whatever_its_layout():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (6, 8, 6), np.uint8)[:, :, ::2]
    before = image.copy()
    probabilities = rng.random((2, 6, 8))
    refined = dense_crf(image, probabilities, DEEPLAB)
    assert np.array_equal(image, before)
    assert np.array_equal(refined, dense_crf(before, probabilities, DEEPLAB))


def test_refuses_other_shapes():
    image = np.zeros((5, 6, 3), np.uint8)
    with pytest.raises(ValueError, match=r"image: expected uint8 \(6, 5, 3\), found uint8 \(5, 6, 3\)"):
        dense_crf(image, np.ones((2, 6, 5)), DEEPLAB)
    with pytest.raises(ValueError, match=r"expected uint8 \(5, 6, 3\), found float64 \(5, 6, 3\)"):
        dense_crf(image / 255, np.ones((2, 5, 6)), DEEPLAB)
    with pytest.raises(ValueError, match=r"probabilities: expected \(C, H, W\), found \(5, 6\)"):
        dense_crf(image, np.ones((5, 6)), DEEPLAB)
    with pytest.raises(ValueError, match=r"labels: expected \(H, W\), found \(1, 5, 6\)"):
        label_crf(image, np.ones((1, 5, 6), int), 2, 0.7, DEEPLAB)


def test_worker_processes_need_no_torch():
    code = "import sys, wsss.methods.crf, wsss.methods.labels; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_image_that_may_not_be_written_is_as_good() -> None:
    image = np.random.default_rng(0).integers(0, 256, (12, 9, 3), np.uint8)
    probabilities = (
        np.random.default_rng(1).dirichlet(np.ones(3), (12, 9)).transpose(2, 0, 1).astype(np.float32)
    )
    few = DEEPLAB.model_copy(update={"iterations": 2})
    expected = dense_crf(image.copy(), probabilities, few)
    image.setflags(write=False)
    np.testing.assert_array_equal(dense_crf(image, probabilities, few), expected)
