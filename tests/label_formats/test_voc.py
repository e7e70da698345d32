"""A VOC folder and CVAT's archive, read by Pillow."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support import label_sources
from tests.support.label_sources import TINY, scenes
from wsss.artefacts.files import ArtefactError
from wsss.label_formats.form import Job, Options
from wsss.label_formats.source import Source, open_source
from wsss.label_formats.voc import CVAT, VOC
from wsss.label_formats.writing import export_labels

LABEL_MAP = """\
# label:color_rgb:parts:actions
background:0,0,0::
cat:128,0,0::
dog:0,128,0::
owl:128,128,0::
void:224,224,192::
"""


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Label maps of a run."""
    return open_source(label_sources.run(tmp_path, scenes()))


def colours(text: str) -> dict[tuple[int, ...], int]:
    """The labels of the colours that a labelmap.txt declares."""
    lines = [line.split(":") for line in text.splitlines() if not line.startswith("#")]
    labels = [0, 1, 2, 3, 255]
    return {tuple(map(int, line[1].split(","))): label for line, label in zip(lines, labels, strict=True)}


def test_a_voc_folder_has_the_label_maps_as_palette_pngs(tmp_path: Path, source: Source) -> None:
    assert export_labels(Job(source, tmp_path / "voc"), VOC) == ""
    listed = (tmp_path / "voc/ImageSets/Segmentation/train.txt").read_text().splitlines()
    assert listed == list(scenes())
    for name, label in scenes().items():
        with Image.open(tmp_path / "voc/SegmentationClass" / f"{name}.png") as image:
            assert image.mode == "P" and np.array_equal(np.array(image), label)
            rgb = np.array(image.convert("RGB"))
        seen = {tuple(colour) for colour in np.unique(rgb.reshape(-1, 3), axis=0).tolist()}
        assert seen <= colours(LABEL_MAP).keys()
    assert (tmp_path / "voc/labelmap.txt").read_text() == LABEL_MAP
    assert not (tmp_path / "voc/JPEGImages").exists()
    about = (tmp_path / "voc/about.txt").read_text()
    assert "void (255, no label known): label 255, declared as 'void' in labelmap.txt" in about


def test_pictures_are_linked_where_asked(tmp_path: Path, source: Source) -> None:
    export_labels(Job(source, tmp_path / "voc", Options(link_images=True)), VOC)
    for name, label in scenes().items():
        link = tmp_path / "voc/JPEGImages" / f"{name}.jpg"
        assert link.is_symlink()
        with Image.open(link) as image:
            assert image.size == label.shape[::-1]


def test_a_link_to_no_picture_is_an_error(tmp_path: Path) -> None:
    source = open_source(label_sources.prediction(tmp_path / "out", {"a": TINY}))
    with pytest.raises(ArtefactError, match="a: no such picture to link to; say where by --images"):
        export_labels(Job(source, tmp_path / "voc", Options(link_images=True)), VOC)
    assert not (tmp_path / "voc").exists()


def test_cvat_s_archive_has_only_colours_that_it_declares(tmp_path: Path, source: Source) -> None:
    export_labels(Job(source, tmp_path / "cvat.zip"), CVAT)
    with zipfile.ZipFile(tmp_path / "cvat.zip") as archive:
        declared = colours(archive.read("labelmap.txt").decode())
        assert archive.read("ImageSets/Segmentation/train.txt").decode().splitlines() == list(scenes())
        for name, label in scenes().items():
            for folder in ("SegmentationClass", "SegmentationObject"):
                with archive.open(f"{folder}/{name}.png") as file, Image.open(file) as image:
                    assert image.mode == "RGB"
                    found = np.apply_along_axis(lambda colour: declared[tuple(colour)], 2, np.array(image))
                assert np.array_equal(found, label)


def test_the_same_labels_give_the_same_archive(tmp_path: Path, source: Source) -> None:
    for name in ("a.zip", "b.zip"):
        export_labels(Job(source, tmp_path / name), CVAT)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


@pytest.mark.parametrize("name", ["owl:grey", "#owl", "background"])
def test_names_that_the_list_of_labels_cannot_hold_are_refused(tmp_path: Path, name: str) -> None:
    folder = label_sources.prediction(tmp_path / "out", {"a": TINY})
    legend = folder / "legend.csv"
    legend.write_text(legend.read_text().replace("owl", name))
    with pytest.raises(ArtefactError, match=f"the class '{name}' .* rename"):
        export_labels(Job(open_source(folder), tmp_path / "cvat.zip"), CVAT)
