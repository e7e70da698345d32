"""Exports are whole or absent, go on after a kill, and name what is wrong with a label map."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support import label_sources
from tests.support.builders import folder_bytes
from tests.support.label_sources import TINY, scene, scenes
from wsss.artefacts.files import ArtefactError
from wsss.artefacts.formats import write_mask
from wsss.label_formats.form import Form, Job
from wsss.label_formats.registry import FORMS
from wsss.label_formats.source import Source, open_source
from wsss.label_formats.writing import export_labels

ALL = pytest.mark.parametrize("name", FORMS)


class Killed(BaseException):
    """Stands for a signal."""


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Label maps of a run."""
    return open_source(label_sources.run(tmp_path, scenes()))


def job_of(source: Source, folder: Path, form: Form) -> Job:
    folder.mkdir(exist_ok=True)
    return Job(source, folder / f"out{form.suffix}")


def killed_after(form: Form, images: int) -> Form:
    """A form at whose n-th image the process is killed."""

    def part(*arguments: object) -> bytes:
        if arguments[1] == images:
            raise Killed
        return form.part(*arguments)  # type: ignore[arg-type]

    return form._replace(part=part)


@ALL
def test_a_killed_export_leaves_nothing_and_goes_on_to_the_same_bytes(
    tmp_path: Path, source: Source, name: str
) -> None:
    form, made = FORMS[name], []
    whole, again = (job_of(source, tmp_path / folder, form) for folder in ("a", "b"))
    export_labels(whole, form)
    with pytest.raises(Killed):
        export_labels(again, killed_after(form, 4))
    assert not again.out.exists()

    def counted(*arguments: object) -> bytes:
        made.append(arguments[1])
        return form.part(*arguments)  # type: ignore[arg-type]

    export_labels(again, form._replace(part=counted))
    assert made == [4, 5, 6]
    assert folder_bytes(tmp_path / "a") == folder_bytes(tmp_path / "b")  # without unfinished work


def test_parts_of_changed_labels_are_not_taken(tmp_path: Path, source: Source) -> None:
    form = FORMS["voc"]
    job = job_of(source, tmp_path / "a", form)
    with pytest.raises(Killed):
        export_labels(job, killed_after(form, 2))
    changed = source.items[0]
    write_mask(changed.folder / f"{changed.id}.png", np.zeros_like(TINY))
    export_labels(job, form)
    with Image.open(job.out / "SegmentationClass/tiny.png") as image:
        assert not np.array(image).any()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["out"]


@ALL
def test_an_output_that_is_there_is_kept_unless_asked(tmp_path: Path, source: Source, name: str) -> None:
    form = FORMS[name]
    job = job_of(source, tmp_path / "a", form)
    export_labels(job, form)
    before = folder_bytes(tmp_path / "a")
    with pytest.raises(ArtefactError, match=r"is there already; give another --out, or --overwrite"):
        export_labels(job, form)
    assert folder_bytes(tmp_path / "a") == before
    export_labels(job, form, overwrite=True)
    assert folder_bytes(tmp_path / "a") == before


def test_a_folder_that_no_export_wrote_is_never_replaced(tmp_path: Path, source: Source) -> None:
    precious = tmp_path / "home" / "thesis.tex"
    precious.parent.mkdir()
    precious.write_text("\\end{document}")
    for form in (FORMS["voc"], FORMS["cvat"]):
        out = precious.parent if not form.suffix else precious.parent.rename(tmp_path / "home.zip")
        with pytest.raises(ArtefactError, match="no export of this form, so it is not replaced"):
            export_labels(Job(source, out), form, overwrite=True)
    assert (tmp_path / "home.zip/thesis.tex").is_file()


def test_a_file_is_not_replaced_by_a_folder(tmp_path: Path, source: Source) -> None:
    (tmp_path / "voc").write_text("a file")
    with pytest.raises(ArtefactError, match="no export of this form"):
        export_labels(Job(source, tmp_path / "voc"), FORMS["voc"], overwrite=True)


@pytest.mark.parametrize("name", ["coco", "cvat"])
def test_a_file_has_its_form_s_ending(tmp_path: Path, source: Source, name: str) -> None:
    with pytest.raises(ArtefactError, match=f"expected a name that ends in {FORMS[name].suffix}"):
        export_labels(Job(source, tmp_path / "labels"), FORMS[name])


def test_an_output_within_the_labels_is_refused(source: Source) -> None:
    with pytest.raises(ArtefactError, match="lies within the labels that are exported"):
        export_labels(Job(source, source.folder / "voc"), FORMS["voc"])


@ALL
def test_a_broken_label_map_is_named_and_nothing_is_written(
    tmp_path: Path, source: Source, name: str
) -> None:
    form, broken = FORMS[name], source.items[3]
    job = job_of(source, tmp_path / "a", form)
    path = broken.folder / f"{broken.id}.png"
    path.write_bytes(path.read_bytes()[:90])
    with pytest.raises(ArtefactError, match=rf"{path.name}: not a whole image .* run again"):
        export_labels(job, form)
    assert not job.out.exists()


def test_a_missing_label_map_is_named(tmp_path: Path, source: Source) -> None:
    (source.items[0].folder / "tiny.png").unlink()
    with pytest.raises(ArtefactError, match=r"tiny.png: expected a label map, found none; remove its folder"):
        export_labels(Job(source, tmp_path / "voc"), FORMS["voc"])


def test_a_label_without_a_name_is_refused(tmp_path: Path) -> None:
    source = open_source(label_sources.prediction(tmp_path / "out", {"a": TINY + 2}))
    with pytest.raises(ArtefactError, match=r"a.png: expected the labels 0, 1, 2, 3 and 255, found 4"):
        export_labels(Job(source, tmp_path / "voc"), FORMS["voc"])


@ALL
def test_a_picture_of_another_size_is_named(tmp_path: Path, name: str) -> None:
    source = label_sources.prediction(tmp_path / "out", {"a": TINY})
    label_sources.pictures(tmp_path / "images", {"a": TINY.T})
    job = job_of(open_source(source, images=tmp_path / "images"), tmp_path / "to", FORMS[name])
    with pytest.raises(ArtefactError, match=r"a.png: expected 4x5 pixels as .*a.jpg is shown, found 5x4"):
        export_labels(job, FORMS[name])


def test_a_picture_that_is_shown_turned_has_the_size_that_it_is_shown_in(tmp_path: Path) -> None:
    source = label_sources.prediction(tmp_path / "out", {"a": TINY})
    image, exif = Image.new("RGB", TINY.shape), Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "images").mkdir()
    image.save(tmp_path / "images/a.jpg", exif=exif)
    export_labels(Job(open_source(source, images=tmp_path / "images"), tmp_path / "voc"), FORMS["voc"])
    assert (tmp_path / "voc/SegmentationClass/a.png").is_file()


@pytest.mark.parametrize("name", [name for name, form in FORMS.items() if form.needs_pictures])
def test_forms_that_name_pictures_ask_where_they_lie(tmp_path: Path, name: str) -> None:
    source = open_source(label_sources.prediction(tmp_path / "out", {"a": TINY}))
    with pytest.raises(ArtefactError, match="say where the pictures lie by --images"):
        export_labels(job_of(source, tmp_path / "to", FORMS[name]), FORMS[name])


@ALL
def test_what_becomes_of_void_is_said(name: str) -> None:
    assert {"voc": "255", "coco": "iscrowd", "cvat": "void", "labelme": "__ignore__", "labelstudio": "void"}[
        name
    ] in FORMS[name].void


@ALL
def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path, name: str) -> None:
    form = FORMS[name]
    export_labels(job_of(open_source(label_sources.run(tmp_path / "warm", scenes())), tmp_path, form), form)
    peaks = []
    for images in (3, 30):
        labels = {f"{number:02d}": scene(number, (120, 160)) for number in range(images)}
        source = open_source(label_sources.run(tmp_path / str(images), labels))
        job = job_of(source, tmp_path / f"to{images}", form)
        tracemalloc.start()
        export_labels(job, form)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]
