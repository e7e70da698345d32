"""Fully connected conditional random field over an image's pixels (Krähenbühl and Koltun, 2011)."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydensecrf.densecrf import DenseCRF2D
from pydensecrf.utils import unary_from_labels, unary_from_softmax

if TYPE_CHECKING:
    from wsss.config.networks import Crf

DEEPLAB = {
    "iterations": 10,
    "gaussian_sxy": 1,
    "gaussian_compat": 3,
    "bilateral_sxy": 67,
    "bilateral_srgb": 3,
    "bilateral_compat": 4,
}
"""Test settings of DeepLabV2: pixels for ``sxy``, grey levels for ``srgb``, weights for ``compat``."""


def dense_crf(
    image: NDArray[np.uint8],
    probabilities: NDArray[np.floating],
    settings: "Crf",
) -> NDArray[np.float32]:
    """Refine class probabilities by colour and nearness.

    Args:
        image: RGB image, uint8 (H, W, 3).
        probabilities: Class probabilities, (C, H, W).
        settings: The two kernels and how often they act.

    Returns:
        Refined probabilities, (C, H, W). A single class has nothing to compete with and gets 1 everywhere.
    """
    probabilities = np.ascontiguousarray(probabilities, dtype=np.float32)
    if probabilities.ndim != 3 or len(probabilities) == 0:
        raise ValueError(f"probabilities: expected (C, H, W), found {probabilities.shape}")
    image = _checked_image(image, probabilities.shape[1:])
    if len(probabilities) == 1:
        return np.ones_like(probabilities)
    return _infer(image, unary_from_softmax(probabilities), settings).reshape(probabilities.shape)


def label_crf(
    image: NDArray[np.uint8],
    labels: NDArray[np.integer],
    num_labels: int,
    gt_prob: float,
    settings: "Crf",
) -> NDArray[np.intp]:
    """Clean a label map by colour and nearness.

    Args:
        image: RGB image, uint8 (H, W, 3).
        labels: Labels 0 .. num_labels - 1, (H, W).
        num_labels: Number of labels n that may occur.
        gt_prob: Probability given to the label of each pixel; the others share the rest.
        settings: As for :func:`dense_crf`.

    Returns:
        Cleaned labels, (H, W).
    """
    labels = np.asarray(labels)
    if labels.ndim != 2:
        raise ValueError(f"labels: expected (H, W), found {labels.shape}")
    image = _checked_image(image, labels.shape)
    if num_labels == 1:
        return np.zeros(labels.shape, np.intp)
    unary = unary_from_labels(labels, num_labels, gt_prob=gt_prob, zero_unsure=False)
    return _infer(image, unary, settings).argmax(0).reshape(labels.shape)


def _infer(image: NDArray[np.uint8], unary: NDArray[np.float32], settings: "Crf") -> NDArray[np.float32]:
    """Marginals after the mean-field iterations, (C, H * W)."""
    height, width = image.shape[:2]
    field = DenseCRF2D(width, height, len(unary))
    field.setUnaryEnergy(np.ascontiguousarray(unary, dtype=np.float32))
    field.addPairwiseGaussian(sxy=settings.gaussian_sxy, compat=settings.gaussian_compat)
    field.addPairwiseBilateral(
        sxy=settings.bilateral_sxy,
        srgb=settings.bilateral_srgb,
        rgbim=image,
        compat=settings.bilateral_compat,
    )
    return np.array(field.inference(settings.iterations), dtype=np.float32)


def _checked_image(image: NDArray[np.uint8], size: tuple[int, ...]) -> NDArray[np.uint8]:
    image = np.require(image, requirements=["C", "W"])  # pydensecrf takes no array that may not be written
    if image.dtype != np.uint8 or image.shape != (*size, 3):
        raise ValueError(f"image: expected uint8 {(*size, 3)}, found {image.dtype} {image.shape}")
    return image
