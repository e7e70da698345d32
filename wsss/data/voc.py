"""PASCAL VOC 2012, extended by the SBD annotations' image lists (train_aug)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

from wsss.config.datasets import VocData
from wsss.data.label_table import read_label_table
from wsss.data.records import Entry, Finding, Listing, duplicates, missing, read_ids

VOC_CLASSES = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
HINT = (
    "part of VOCtrainval_11-May-2012.tar from http://host.robots.ox.ac.uk/pascal/VOC/voc2012/; unpack it and "
    "let `root` name its folder VOCdevkit/VOC2012"
)
SBD_HINT = (
    "part of SBD's benchmark.tgz, folder dataset/; let `sbd` name it, or put the masks of train_aug into "
    "SegmentationClassAug, or set `sbd` to null and `counts.train` to 1464 for VOC's train alone"
)
READERS = 16  # threads for thousands of small files, each of which a file server answers in a millisecond

log = logging.getLogger(__name__)


def list_voc(settings: VocData) -> Listing:
    """List VOC 2012: train (train_aug), masked (VOC's train), val, and test where its list is there.

    Args:
        settings: Where its parts lie.

    Returns:
        Entries sorted by id, and findings.
    """
    root = Path(settings.root)
    absent = _check_paths(root, settings)
    if absent:
        return Listing(findings=tuple(absent))
    lists, findings = _read_lists(root)
    masked, val, test = (lists[split] for split in ("train", "val", "test"))
    train = train_aug(masked, val, _more_ids(root, settings))
    labels, from_labels = _read_labels(root, settings, train, val)
    entries = [
        *(
            _entry(root, name, labels, ("train", "masked") if name in set(masked) else ("train",))
            for name in train
        ),
        *(_entry(root, name, labels, ("val",)) for name in sorted(set(val))),
        *(_entry(root, name, {}, ("test",)) for name in sorted(set(test))),
    ]
    return Listing(VOC_CLASSES, tuple(entries), (*findings, *from_labels))


def train_aug(train: Iterable[str], val: Iterable[str], more: Iterable[str]) -> list[str]:
    """Ids of train_aug, sorted: VOC's train and the ``more`` of SBD, without VOC's val."""
    return sorted((set(train) | set(more)) - set(val))


def _list_path(root: Path, split: str) -> Path:
    return root / "ImageSets" / "Segmentation" / f"{split}.txt"


def _check_paths(root: Path, settings: VocData) -> list[Finding]:
    folders = [root / "JPEGImages", root / "SegmentationClass"]
    findings = missing(folders, [_list_path(root, split) for split in ("train", "val")], HINT)
    if settings.labels:
        findings += missing([], [Path(settings.labels)], "named by `labels`; null reads Annotations")
    else:
        findings += missing([root / "Annotations"], [], f"{HINT}; or let `labels` name a table of labels")
    if settings.sbd:
        folder = _sbd_folder(settings.sbd)
        findings += missing([], [folder / "train.txt", folder / "val.txt"], SBD_HINT)
    return findings


def _sbd_folder(sbd: str) -> Path:
    """The folder of SBD's lists: the named one, or its part ``dataset`` as the archive unpacks."""
    return next(
        (path for path in (Path(sbd), Path(sbd, "dataset")) if (path / "train.txt").is_file()), Path(sbd)
    )


def _read_lists(root: Path) -> tuple[dict[str, list[str]], list[Finding]]:
    paths = {split: _list_path(root, split) for split in ("train", "val", "test")}
    lists = {split: read_ids(path) if path.is_file() else [] for split, path in paths.items()}
    findings = [found for split, ids in lists.items() for found in duplicates(ids, str(paths[split]))]
    whole = [name for ids in lists.values() for name in sorted(set(ids))]
    return lists, findings + duplicates(whole, "the lists of train, val and test together")


def _more_ids(root: Path, settings: VocData) -> list[str]:
    """Ids that train_aug adds: SBD's lists, or the masks that others converted from it."""
    if settings.sbd:
        folder = _sbd_folder(settings.sbd)
        return [*read_ids(folder / "train.txt"), *read_ids(folder / "val.txt")]
    ids = sorted(path.stem for path in (root / "SegmentationClassAug").glob("*.png"))
    if not ids:
        log.warning(
            "neither `sbd` nor %s: training on VOC's train only, not on train_aug",
            root / "SegmentationClassAug",
        )
    return ids


def _read_labels(
    root: Path, settings: VocData, train: list[str], val: list[str]
) -> tuple[dict[str, tuple[int, ...]], list[Finding]]:
    """Class indices by id, and findings; only training images must have labels."""
    if settings.labels:
        table = read_label_table(Path(settings.labels), VOC_CLASSES)
        labels, findings = {name: row.classes for name, row in table.rows.items()}, list(table.findings)
        where = str(settings.labels)
    else:
        labels, findings = _read_annotations(root, [*train, *sorted(set(val))])
        where = str(root / "Annotations")
    unlabelled = [name for name in train if name not in labels]
    return labels, findings + [Finding("id without labels", f"{name!r} in {where}") for name in unlabelled]


def _read_annotations(root: Path, ids: list[str]) -> tuple[dict[str, tuple[int, ...]], list[Finding]]:
    paths = {name: root / "Annotations" / f"{name}.xml" for name in ids}
    with ThreadPoolExecutor(READERS) as pool:
        read = dict(zip(paths, pool.map(_read_if_there, paths.values()), strict=True))
    labels = {name: found[0] for name, found in read.items() if found is not None}
    return labels, [finding for found in read.values() if found is not None for finding in found[1]]


def _read_if_there(path: Path) -> tuple[tuple[int, ...], list[Finding]] | None:
    return read_annotation(path) if path.is_file() else None


def read_annotation(path: Path) -> tuple[tuple[int, ...], list[Finding]]:
    """Sorted class indices of the objects in one annotation, the difficult ones included; and findings."""
    try:
        objects = ElementTree.parse(path).getroot().findall("object")
    except ElementTree.ParseError as error:
        return (), [Finding("bad annotations", f"{path}: {error}")]
    names = {(item.findtext("name") or "").strip() for item in objects}
    unknown = sorted(names - set(VOC_CLASSES))
    classes = tuple(sorted(VOC_CLASSES.index(name) for name in names & set(VOC_CLASSES)))
    return classes, [Finding("unknown class", f"{path}: {name!r}") for name in unknown]


def _entry(root: Path, name: str, labels: Mapping[str, tuple[int, ...]], splits: tuple[str, ...]) -> Entry:
    # Scores are taken on VOC's own masks: the images that SBD adds have none here.
    scored = {"masked", "val"} & set(splits)
    mask = root / "SegmentationClass" / f"{name}.png" if scored else None
    return Entry(name, root / "JPEGImages" / f"{name}.jpg", mask, labels.get(name, ()), splits)
