"""Findings about files and lists, and the report of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.datasets import mask, picture
from wsss.artefacts.formats import read_image
from wsss.config.datasets import FolderData, VocData
from wsss.data.checks import (
    REMEDIES,
    Examined,
    check_class_order,
    check_listing,
    check_masks_show,
    data_error,
    examine,
    mapped_sizes,
    report,
)
from wsss.data.records import Entry, Finding, Listing


@pytest.fixture
def entry(tmp_path: Path) -> Entry:
    picture(tmp_path / "a.jpg")
    mask(tmp_path / "a.png")
    return Entry("a", tmp_path / "a.jpg", tmp_path / "a.png", (0,), ("train", "masked"))


def kinds(entry: Entry, num_classes: int = 2) -> list[str]:
    return [found.kind for found in examine(entry, num_classes).findings]


def test_a_whole_image(entry: Entry) -> None:
    assert examine(entry, 1) == Examined(6, 8, (), (0,), background=True)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".tif"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_truncated_images(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"a{suffix}"
    picture(path, (64, 64))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    found = examine(Entry("a", path, None, (), ("train",)), 1).findings
    assert [one.kind for one in found] == ["unreadable image"]
    assert str(path) in found[0].detail


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "CMYK", "P", "1"])
def test_images_of_any_mode_become_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    Image.new("RGB", (8, 6), (200, 30, 30)).convert(mode).save(path)
    assert examine(Entry("a", path, None, (), ("train",)), 1) == Examined(6, 8, ())
    assert read_image(path).shape == (6, 8, 3)


def turned(path: Path, orientation: int, size: tuple[int, int] = (8, 6)) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", size).save(path, exif=exif)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_masks_lie_as_viewers_show_the_picture(tmp_path: Path, orientation: int) -> None:
    turned(tmp_path / "a.jpg", orientation)
    size = (6, 8) if orientation < 5 else (8, 6)
    mask(tmp_path / "a.png", size)
    entry = Entry("a", tmp_path / "a.jpg", tmp_path / "a.png", (), ("masked",))
    examined = examine(entry, 1)
    assert examined[:3] == (*size, ())
    assert examined.remarks == (("turned",) if orientation == 3 else ())  # of which no side tells
    mask(tmp_path / "a.png", size[::-1])
    (finding,) = examine(entry, 1).findings
    assert finding.kind == "mask size"
    assert f"expected {size[1]}x{size[0]}, found {size[0]}x{size[1]}; sides swapped" in finding.detail


def test_a_turned_square_is_doubtful_unless_its_mask_is_turned_too(tmp_path: Path) -> None:
    turned(tmp_path / "a.jpg", 6, (6, 6))
    mask(tmp_path / "a.png", (6, 6))
    entry = Entry("a", tmp_path / "a.jpg", tmp_path / "a.png", (), ("masked",))
    assert examine(entry, 1).remarks == ("turned",)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.eye(6, dtype=np.uint8)).save(tmp_path / "a.png", exif=exif)
    assert examine(entry, 1).remarks == ()


def test_a_dim_picture_of_16_bits_is_remarked(tmp_path: Path) -> None:
    entry = Entry("a", tmp_path / "a.png", None, (), ("train",))
    Image.fromarray(np.full((6, 8), 4095, np.uint16)).save(entry.image)
    assert examine(entry, 1) == Examined(6, 8, (), remarks=("dim",))


def test_class_maps_are_taken_of_training_images_with_a_class() -> None:
    kinds = [((0,), "train"), ((), "train"), ((0,), "val"), ((0,), "train")]
    entries = [Entry(str(at), Path("x"), None, shown, (split,)) for at, (shown, split) in enumerate(kinds)]
    examined = [Examined(6, 8, ()), Examined(5, 8, ()), Examined(4, 8, ()), Examined(0, 0, ())]
    assert mapped_sizes(entries, examined) == [(6, 8)]


def test_a_picture_above_the_limit(entry: Entry) -> None:
    assert examine(entry, 1, limit=48).findings == ()
    (finding,) = examine(entry, 1, limit=47).findings
    assert finding.kind == "unreadable image"
    assert "expected at most 47 pixels, found 8x6 = 48; scale it down, or raise" in finding.detail
    assert "largest_image" in finding.detail


def test_masks(entry: Entry) -> None:
    assert entry.mask is not None
    mask(entry.mask, (6, 7))
    assert kinds(entry) == ["mask size"]
    mask(entry.mask, label=255)
    assert kinds(entry) == []
    mask(entry.mask, label=3)
    assert kinds(entry) == ["mask values"]
    assert kinds(entry, num_classes=3) == []
    Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(entry.mask)
    assert kinds(entry) == ["unreadable mask"]
    entry.mask.write_bytes(b"no image")
    assert kinds(entry) == ["unreadable mask"]
    entry.mask.unlink()
    assert kinds(entry) == ["missing mask"]


def test_missing_image(entry: Entry) -> None:
    entry.image.unlink()
    assert kinds(entry) == ["missing image"]


def listing(*classes: tuple[int, ...], names: tuple[str, ...] = ("cat", "dog")) -> Listing:
    entries = [Entry(str(at), Path("x"), None, shown, ("train",)) for at, shown in enumerate(classes)]
    return Listing(names, tuple(entries))


FULL = FolderData(kind="folder")
SOME = FolderData(kind="folder", allow_empty_classes=True)
COUNTED = VocData(kind="voc", root="x", sbd=None, counts={"train": 10582, "val": 0})


def test_empty_classes() -> None:
    (finding,) = check_listing(listing((0,), ()), FULL)
    assert finding == Finding("empty class", "class 1 ('dog') of 2")
    assert check_listing(listing((0,), ()), SOME) == []


def test_counts_name_both_numbers() -> None:
    (finding,) = check_listing(listing((0, 1)), COUNTED)
    assert finding == Finding("wrong count", "split 'train': expected 10582 images, found 1")


def test_no_training_image_and_no_class() -> None:
    assert [found.kind for found in check_listing(Listing(), FULL)] == ["bad settings", "empty split"]
    many = listing((0,), names=tuple(map(str, range(255))))
    assert [found.kind for found in check_listing(many, SOME)] == ["bad settings"]


def misplaced(*images: tuple[tuple[int, ...], tuple[int, ...]]) -> list[str]:
    """What is found in images of so many labels and classes in their masks, each six times."""
    repeated = [image for image in images for _ in range(6)]
    names = ("cat", "dog", "owl", "person")
    examined = [Examined(6, 8, (), shown) for _, shown in repeated]
    found = check_class_order(listing(*(labels for labels, _ in repeated), names=names), examined)
    assert all(one.kind == "class order" for one in found)
    return [one.detail for one in found]


def test_masks_in_the_labels_order() -> None:
    assert misplaced(((0,), (0,)), ((1, 3), (1, 3)), ((2,), (2,))) == []
    assert misplaced(((0,), ()), ((), (1,))) == []  # void alone; no labels to compare


def test_two_classes_changed_places() -> None:
    first, second = misplaced(((0,), (1,)), ((1, 3), (0, 3)), ((2,), (2,)))
    assert first == (
        "mask value 1, by the class list 'cat': of 6 images that show it 0 are labelled 'cat' and 6 'dog'"
    )
    assert second.startswith("mask value 2, by the class list 'dog'")


def test_every_class_moved_on() -> None:
    assert len(misplaced(((0,), (1,)), ((1,), (2,)), ((2,), (3,)), ((3,), (0,)))) == 4


def test_labels_may_leave_out_what_masks_show() -> None:
    # People are never labelled; they stand beside cats and dogs, which are.
    assert misplaced(((0,), (0, 3)), ((1,), (1, 3)), ((2,), (2,))) == []
    # Half of the classes are never labelled.
    assert misplaced(((0,), (0, 2, 3)), ((1,), (1, 2, 3))) == []


def test_a_few_masks_prove_no_order() -> None:
    few = [((0,), (1,)), ((1,), (0,))] * 4
    examined = [Examined(6, 8, (), shown) for _, shown in few]
    assert check_class_order(listing(*(labels for labels, _ in few)), examined) == []


@pytest.mark.parametrize(("ignored", "held"), [(True, "0 and 255 alone"), (False, "0 alone")])
def test_masks_that_show_nothing_though_images_are_labelled_are_refused(ignored: bool, held: str) -> None:
    """As those of one class that are drawn in black and white, where white is 255."""
    plain = listing((0,), (0,), (), names=("cell",))
    entries = tuple(replace(entry, mask=Path(f"{entry.id}.png")) for entry in plain.entries)
    images = Listing(plain.classes, entries)
    empty = [Examined(6, 8, (), (), ignored) for _ in images.entries]
    (found,) = check_masks_show(images, empty)
    assert found.kind == "mask values" and f"of 2 labelled images hold {held}" in found.detail
    assert check_masks_show(images, [Examined(6, 8, (), (0,)), *empty[1:]]) == []
    assert check_masks_show(listing((0,), names=("cell",)), empty[:1]) == []  # without masks


def test_the_report_groups_and_counts() -> None:
    findings = [Finding("missing image", f"i{number}") for number in range(25)]
    findings.insert(3, Finding("unknown class", "wolf"))
    lines = report(findings, 20).splitlines()
    assert lines[0] == f"unknown class, 1 in all ({REMEDIES['unknown class']}):"
    assert lines[2].startswith("missing image, 25 in all (")
    assert lines[-2:] == ["  i19", "  ... and 5 more"]


def test_the_error_quotes_the_first_findings() -> None:
    message = str(data_error("pets", [Finding("missing image", f"i{number}") for number in range(5)]))
    assert message.startswith("data set 'pets' cannot be used, 5 findings; fix them and run again:")
    assert "i2" in message
    assert "i3" not in message
