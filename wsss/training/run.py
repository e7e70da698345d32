"""What the training stages share: their inputs, the training itself and the weights artefact."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.utils.data import Dataset

from wsss.artefacts.files import ArtefactError, Inputs, PathLike, work_folder
from wsss.artefacts.formats import Manifest, Record, Values, read_label_index, write_tensors
from wsss.artefacts.identity import digests
from wsss.data.datasets import LabelDataset
from wsss.pretrained.initial_weights import SEEN, load_initial
from wsss.runtime.launch import place
from wsss.training import Schedule, train
from wsss.training.engine import Losses
from wsss.workflow.fingerprint import fingerprint

if TYPE_CHECKING:
    from wsss.config.classifiers import PairInitial
    from wsss.config.fields import Settings
    from wsss.config.networks import Coloured, Initial
    from wsss.config.refiners import IrnTraining
    from wsss.config.segmenters import SegmenterTraining


@dataclass(frozen=True)
class Product:
    """Where a training's results go and what they are made from.

    Attributes:
        stage: Name of the stage, whose code shapes the result.
        weights: Weights artefact to write.
        history: CSV to write.
        params: All settings, the provenance of the initial weights and the seed, for the artefact.
        inputs: Files read, by name, whose digests go into the artefact.
        entry: The method that is trained, where the stage finds it in a table.
    """

    stage: str
    weights: PathLike
    history: PathLike
    params: Values
    inputs: Inputs = field(default_factory=dict)
    entry: str | None = None

    def shape(self) -> dict[str, Any]:
        """All that shapes the training, as plain values."""
        return {
            "params": dict(self.params),
            "inputs": digests(self.inputs),
            "code": fingerprint(self.stage, entry=self.entry),
            "entry": self.entry,
        }


def fit(
    network: nn.Module,
    losses: Losses,
    dataset: Dataset[dict[str, Tensor]],
    groups: Sequence[Mapping[str, Any]],
    schedule: Schedule,
    product: Product,
    finish: Callable[[nn.Module], None] = lambda network: None,
    weights_of: Callable[[nn.Module], Mapping[str, Tensor]] = nn.Module.state_dict,
    at_iteration: Callable[[int], None] = lambda iteration: None,
) -> None:
    """Train a network and write its weights and history; an interrupted training goes on where it was.

    Of several processes that train together only the first returns; the others end when their part is done.

    Args:
        network: Holds its initial weights.
        losses: See :func:`wsss.training.train`.
        dataset: See :func:`wsss.training.train`.
        groups: See :func:`wsss.training.train`.
        schedule: How long and how.
        product: What is written and where.
        finish: Called with the trained network before its weights are written.
        weights_of: Takes what is to be written from the network.
        at_iteration: See :func:`wsss.training.train`.
    """
    weights, seed = Path(product.weights), product.params["seed"]
    with work_folder(weights, product.shape()) as work:
        train(
            network,
            losses,
            dataset,
            groups,
            schedule,
            seed=seed,
            work=work,
            history=Path(product.history),
            events=weights.parent / "events" / work.name,
            at_iteration=at_iteration,
        )
        if not place().leads:
            raise SystemExit  # the rest, and the work folder, are the first process's
        finish(network)
        write_tensors(weights, "weights", weights_of(network), product.params, product.inputs)


def start(
    part: nn.Module,
    manifest: Manifest,
    network: Coloured,
    initial: Initial | PairInitial,
    training: Settings,
    seed: int,
) -> dict[str, Any]:
    """Give a network its initial weights.

    Args:
        part: The network, or its part that has initial weights.
        manifest: The data set.
        network: Its settings.
        initial: Where they come from.
        training: Settings of the training.
        seed: Of all chance.

    Returns:
        All that shapes the training, see :attr:`Product.params`.
    """
    return shaping(manifest, network, load_initial(part, initial), training, seed)


def shaping(
    manifest: Manifest, network: Coloured, origin: Values, training: Settings, seed: int
) -> dict[str, Any]:
    """All that shapes a training, with where its initial weights come from; see :attr:`Product.params`."""
    return {
        "network": network.model_dump(),
        "initial": origin,
        "training": training.model_dump(),
        "seed": seed,
        "classes": manifest.classes,
    }


def label_dataset(
    manifest: Manifest,
    labels: Sequence[PathLike],
    indexes: Sequence[PathLike],
    network: Coloured,
    training: IrnTraining | SegmenterTraining,
    seed: int,
    *,
    some: bool = False,
) -> LabelDataset:
    """The training images with their label maps.

    Args:
        manifest: The data set.
        labels: Folders of label maps, one a shard.
        indexes: The folders' indexes, in the same order.
        network: Settings of the network, of which the colours count.
        training: Settings of the training, of which the sizes count.
        seed: Of the augmentation.
        some: Whether images without a label map are left out; otherwise each must have one.
    """
    records, folders = (
        labelled(manifest, labels, indexes) if some else pseudo_labelled(manifest, labels, indexes)
    )
    mean, std = network.colours
    return LabelDataset(
        records,
        folders,
        crop=training.crop,
        scale=training.scale,
        long_side=getattr(training, "long_side", None),
        mean=mean,
        std=std,
        seed=seed,
    )


def labels_seen(indexes: Sequence[PathLike]) -> dict[str, Any]:
    """What label maps rest on beside image labels, by their indexes; empty for pseudo labels.

    Returns:
        ``supervision``, in words, ``pixel_labels``, true, and how many of the training images have such
        labels, ``masked`` of ``images``, by the first index that names any.
    """
    named = (read_label_index(index).params for index in indexes)
    keys = (*SEEN, "masked", "images")
    return next(({key: found[key] for key in keys} for found in named if found.get("pixel_labels")), {})


def labelled(
    manifest: Manifest, labels: Sequence[PathLike], indexes: Sequence[PathLike]
) -> tuple[list[Record], dict[str, Path]]:
    """The training images that have a label map; see :func:`pseudo_labelled`."""
    folders = {
        image_id: Path(folder)
        for folder, index in zip(labels, indexes, strict=True)
        for image_id in read_label_index(index).ids
    }
    return [record for record in manifest.split("train") if record.id in folders], folders


def pseudo_labelled(
    manifest: Manifest, labels: Sequence[PathLike], indexes: Sequence[PathLike]
) -> tuple[list[Record], dict[str, Path]]:
    """The training images and, by image id, the folder of label maps that holds the image's.

    Args:
        manifest: The data set.
        labels: Folders of label maps, one a shard.
        indexes: The folders' indexes, in the same order.

    Returns:
        Records of the split ``train``, and the folders.
    """
    folders = labelled(manifest, labels, indexes)[1]
    records = manifest.split("train")
    missing = [record.id for record in records if record.id not in folders]
    if missing:
        raise ArtefactError(
            f"{indexes[0]} and the other indexes: expected a label map for each of {len(records)} training "
            f"images, found none for {len(missing)}, for instance {missing[0]!r}; remove them and run again"
        )
    return records, folders
