"""What training reads: augmented images with their tags or label maps.

A sample's chance comes from the seed and its position in training only, so that neither the number of
loading processes nor an interruption changes it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from wsss.artefacts.formats import Record, read_image, read_label
from wsss.data.sampler import Sample
from wsss.data.transforms import (
    Pixels,
    long_side_factor,
    normalise,
    random_crop,
    random_flip,
    random_rescale_long,
    random_scale,
    resize_square,
    to_tensor,
)

Source = TypeVar("Source")


class AugmentedDataset(Dataset[dict[str, Tensor]], ABC, Generic[Source]):
    """Sources of images, each augmented anew in every epoch; a subclass says how, in :meth:`augmented`."""

    def __init__(
        self, sources: Sequence[Source], *, mean: Sequence[float], std: Sequence[float], seed: int
    ) -> None:
        """Keep the sources.

        Args:
            sources: What each image is made from.
            mean: Mean of red, green and blue, on the scale 0..1.
            std: Deviation of red, green and blue, on the scale 0..1.
            seed: Seed of the augmentation.
        """
        self.sources, self.seed = sources, seed
        self.mean, self.std = tuple(mean), tuple(std)

    def __len__(self) -> int:
        """Number of images."""
        return len(self.sources)

    def __getitem__(self, sample: Sample) -> dict[str, Tensor]:
        """The sample's tensors, see :meth:`augmented`."""
        rng = np.random.default_rng([self.seed, sample.position])
        return self.augmented(self.sources[sample.index], rng)

    @abstractmethod
    def augmented(self, source: Source, rng: np.random.Generator) -> dict[str, Tensor]:
        """One sample's tensors by name, with all chance from ``rng``."""

    def whole(self, image: Pixels) -> Tensor:
        """An image, uint8 (H, W, 3), as it is but normalised, float32 (3, H, W)."""
        return to_tensor(normalise(image, self.mean, self.std))

    def cropped(
        self, image: Pixels, label: Pixels | None, size: int, rng: np.random.Generator
    ) -> tuple[Tensor, Pixels | None]:
        """An image and its label map, mirrored in half of the cases and cut to a square.

        Args:
            image: Picture, uint8 (H, W, 3).
            label: Label map, uint8 (H, W), or None.
            size: Side of the square in pixels.
            rng: Source of chance.

        Returns:
            Normalised picture, float32 (3, size, size), and label map, uint8 (size, size), or None.
        """
        image, label = random_flip(image, label, rng)
        square, labels = random_crop(normalise(image, self.mean, self.std), label, size, rng)
        return to_tensor(square), labels


class RescaledDataset(AugmentedDataset[Source]):
    """Images augmented as IRN trains its classifier: long side, mirror, padded crop."""

    def __init__(
        self, sources: Sequence[Source], *, crop: int, rescale: Sequence[int], **common: Any
    ) -> None:
        """Keep the sources and the augmentation's settings.

        Args:
            sources: What each image is made from.
            crop: Side of the square crop in pixels.
            rescale: Shortest and longest long side in pixels.
            common: See :class:`AugmentedDataset`.
        """
        super().__init__(sources, **common)
        self.crop, self.rescale = crop, (int(rescale[0]), int(rescale[1]))

    def view(self, image: Pixels, rng: np.random.Generator) -> Tensor:
        """A random view of an image, float32 (3, crop, crop)."""
        rescaled, _ = random_rescale_long(image, None, *self.rescale, rng)
        return self.cropped(rescaled, None, self.crop, rng)[0]


class ClassificationDataset(RescaledDataset[Record]):
    """Images and their tags."""

    def __init__(self, records: Sequence[Record], num_classes: int, **common: Any) -> None:
        """Keep the records and the augmentation's settings.

        Args:
            records: Training images.
            num_classes: Number of foreground classes C.
            common: See :class:`RescaledDataset`.
        """
        super().__init__(records, **common)
        self.num_classes = num_classes

    def augmented(self, source: Record, rng: np.random.Generator) -> dict[str, Tensor]:
        """``images`` float32 (3, crop, crop) and ``tags`` float32 (C,)."""
        images = self.view(read_image(source), rng)
        return {"images": images, "tags": multi_hot(source.classes, self.num_classes)}


def mirrored(square: Pixels, rng: np.random.Generator) -> dict[str, Pixels]:
    """A square as ``images``, mirrored left and right in half of the cases."""
    return {"images": random_flip(square, None, rng)[0]}


class SquareDataset(AugmentedDataset[Record]):
    """Images resized to one square, whatever their shape, seen as a training asks; and their tags."""

    def __init__(
        self,
        records: Sequence[Record],
        num_classes: int,
        *,
        side: int,
        views: Callable[[Pixels, np.random.Generator], Mapping[str, Pixels | Tensor]] = mirrored,
        **common: Any,
    ) -> None:
        """Keep the records and the augmentation's settings.

        Args:
            records: Training images.
            num_classes: Number of foreground classes C.
            side: Side of the square in pixels.
            views: Takes the square, uint8 (side, side, 3), and the source of chance; returns what is to be
                seen of it, by name: pictures, uint8 (H, W, 3), and tensors.
            common: See :class:`AugmentedDataset`.
        """
        super().__init__(records, **common)
        self.num_classes, self.side, self.views = num_classes, side, views

    def augmented(self, source: Record, rng: np.random.Generator) -> dict[str, Tensor]:
        """What the views are, pictures normalised, float32 (3, H, W), and ``tags`` float32 (C,)."""
        views = self.views(resize_square(read_image(source), self.side), rng)
        seen = {name: view if isinstance(view, Tensor) else self.whole(view) for name, view in views.items()}
        return {**seen, "tags": multi_hot(source.classes, self.num_classes)}


class LabelDataset(AugmentedDataset[Record]):
    """Images and label maps, scaled, mirrored and cropped together."""

    def __init__(
        self,
        records: Sequence[Record],
        label_paths: Mapping[str, str | Path],
        *,
        crop: int,
        scale: Sequence[float],
        long_side: int | None = None,
        **common: Any,
    ) -> None:
        """Keep the records and the augmentation's settings.

        Args:
            records: Training images.
            label_paths: Folder of label maps that holds the image's, by image id.
            crop: Side of the square crop in pixels.
            scale: Smallest and largest factor of the size.
            long_side: The size that the factors are of, in pixels of an image's long side; None: its own.
            common: See :class:`AugmentedDataset`.
        """
        super().__init__(records, **common)
        self.label_paths = dict(label_paths)
        self.crop, self.scale, self.long_side = crop, (float(scale[0]), float(scale[1])), long_side

    def augmented(self, source: Record, rng: np.random.Generator) -> dict[str, Tensor]:
        """``images`` float32 (3, crop, crop) and ``labels`` uint8 (crop, crop), 255 void or padding."""
        whole = read_label(self.label_paths[source.id], source.id, (source.height, source.width))
        low, high = (factor * self._working_factor(source) for factor in self.scale)
        image, label = random_scale(read_image(source), whole, low, high, rng)
        images, labels = self.cropped(image, label, self.crop, rng)
        return {"images": images, "labels": torch.from_numpy(labels)}

    def _working_factor(self, record: Record) -> float:
        """The factor that brings an image to the size which the random factors are of."""
        return long_side_factor((record.height, record.width), self.long_side)


def multi_hot(classes: Sequence[int], num_classes: int) -> Tensor:
    """Tags of an image, float32 (C,): 1 for each class shown."""
    tags = torch.zeros(num_classes)
    tags[list(classes)] = 1
    return tags
