"""What training reads: augmented images with their tags or label maps.

A sample's chance comes from the seed and its position in training only, so that neither the number of
loading processes nor an interruption changes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from wsss.artefacts import Record, read_image, read_label
from wsss.data.sampler import Sample
from wsss.data.transforms import (
    normalise,
    random_crop,
    random_flip,
    random_rescale_long,
    random_scale,
    to_tensor,
)


class ClassificationDataset(Dataset[dict[str, Tensor]]):
    """Images and their tags, augmented as IRN trains its classifier: long side, mirror, padded crop."""

    def __init__(
        self,
        records: Sequence[Record],
        num_classes: int,
        *,
        crop: int,
        rescale: Sequence[int],
        mean: Sequence[float],
        std: Sequence[float],
        seed: int,
    ) -> None:
        """Keep the records and the augmentation's settings.

        Args:
            records: Training images.
            num_classes: Number of foreground classes C.
            crop: Side of the square crop in pixels.
            rescale: Shortest and longest long side in pixels.
            mean: Mean of red, green and blue, on the scale 0..1.
            std: Deviation of red, green and blue, on the scale 0..1.
            seed: Seed of the augmentation.
        """
        self.records, self.num_classes = list(records), num_classes
        self.crop, self.rescale = crop, (int(rescale[0]), int(rescale[1]))
        self.mean, self.std, self.seed = tuple(mean), tuple(std), seed

    def __len__(self) -> int:
        """Number of images."""
        return len(self.records)

    def __getitem__(self, sample: Sample) -> dict[str, Tensor]:
        """``images`` float32 (3, crop, crop) and ``tags`` float32 (C,), 1 for each class shown."""
        rng = np.random.default_rng([self.seed, sample.position])
        record = self.records[sample.index]
        image, _ = random_rescale_long(read_image(record), None, *self.rescale, rng)
        image, _ = random_flip(image, None, rng)
        cropped, _ = random_crop(normalise(image, self.mean, self.std), None, self.crop, rng)
        tags = torch.zeros(self.num_classes)
        tags[list(record.classes)] = 1
        return {"images": to_tensor(cropped), "tags": tags}


class LabelDataset(Dataset[dict[str, Tensor]]):
    """Images and label maps, scaled, mirrored and cropped together."""

    def __init__(
        self,
        records: Sequence[Record],
        label_paths: Mapping[str, str | Path],
        *,
        crop: int,
        scale: Sequence[float],
        mean: Sequence[float],
        std: Sequence[float],
        seed: int,
    ) -> None:
        """Keep the records and the augmentation's settings.

        Args:
            records: Training images.
            label_paths: Folder of label maps that holds the image's, by image id.
            crop: Side of the square crop in pixels.
            scale: Smallest and largest factor of the size.
            mean: Mean of red, green and blue, on the scale 0..1.
            std: Deviation of red, green and blue, on the scale 0..1.
            seed: Seed of the augmentation.
        """
        self.records, self.label_paths = list(records), dict(label_paths)
        self.crop, self.scale = crop, (float(scale[0]), float(scale[1]))
        self.mean, self.std, self.seed = tuple(mean), tuple(std), seed

    def __len__(self) -> int:
        """Number of images."""
        return len(self.records)

    def __getitem__(self, sample: Sample) -> dict[str, Tensor]:
        """``images`` float32 (3, crop, crop) and ``labels`` uint8 (crop, crop), 255 void or padding."""
        rng = np.random.default_rng([self.seed, sample.position])
        record = self.records[sample.index]
        whole = read_label(self.label_paths[record.id], record.id, (record.height, record.width))
        image, label = random_scale(read_image(record), whole, *self.scale, rng)
        image, label = random_flip(image, label, rng)
        cropped, labels = random_crop(normalise(image, self.mean, self.std), label, self.crop, rng)
        return {"images": to_tensor(cropped), "labels": torch.from_numpy(labels)}
