"""What a folder of label maps holds: of a run, and of a prediction."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.support import label_sources
from tests.support.label_sources import NAMES, TINY, scenes
from wsss.artefacts.files import ArtefactError
from wsss.label_formats.source import check_names, open_source, read_legend

CLASSES = dict(enumerate(NAMES, start=1))


def test_a_run_s_labels_come_in_the_manifest_s_order_with_their_pictures(tmp_path: Path) -> None:
    folder = label_sources.run(tmp_path, scenes())
    source = open_source(folder)
    assert [item.id for item in source.items] == list(scenes())
    assert (source.names, source.subset, source.root) == (CLASSES, "train", tmp_path / "pictures")
    assert [item.name for item in source.items] == [f"{name}.jpg" for name in scenes()]
    assert [item.size for item in source.items] == [label.shape for label in scenes().values()]
    assert all(item.picture and item.picture.is_file() for item in source.items)


def test_predictions_of_a_run_say_their_split(tmp_path: Path) -> None:
    below = Path("run0", "apc", "val", "plain", "masks")
    assert open_source(label_sources.run(tmp_path, scenes(), below=below)).subset == "val"


def test_a_manifest_elsewhere_is_named(tmp_path: Path) -> None:
    folder = label_sources.run(tmp_path, scenes())
    moved = shutil.move(tmp_path / "results/toy/manifest.jsonl", tmp_path / "mine.jsonl")
    with pytest.raises(ArtefactError, match=r"no manifest.jsonl in any folder above it; .* --manifest"):
        open_source(folder)
    assert len(open_source(folder, manifest=Path(moved)).items) == len(scenes())


def test_another_data_set_s_manifest_is_refused(tmp_path: Path) -> None:
    folder = label_sources.run(tmp_path, scenes())
    label_sources.run(tmp_path / "other", {"a": TINY})
    with pytest.raises(ArtefactError, match=r"holds 'img 0', which .*manifest.jsonl does not"):
        open_source(folder, manifest=tmp_path / "other/results/toy/manifest.jsonl")


@pytest.mark.parametrize("lost", ["001of002", "001of002.jsonl"])
def test_a_missing_shard_is_named(tmp_path: Path, lost: str) -> None:
    folder = label_sources.run(tmp_path, scenes())
    path = folder / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(ArtefactError, match="expected all parts of one run, found no 001of002"):
        open_source(folder)


def test_shards_of_two_numbers_are_refused(tmp_path: Path) -> None:
    folder = label_sources.run(tmp_path, scenes())
    (folder / "000of003").mkdir()
    with pytest.raises(ArtefactError, match="found parts of 002 and of 003"):
        open_source(folder)


def test_a_prediction_has_the_legend_s_names(tmp_path: Path) -> None:
    source = open_source(label_sources.prediction(tmp_path, scenes()))
    assert [item.id for item in source.items] == sorted(scenes())
    assert (source.names, source.subset, source.root) == (CLASSES, "default", None)
    assert {item.picture for item in source.items} == {None}


def test_pngs_that_are_no_label_maps_are_left_out(tmp_path: Path) -> None:
    folder = label_sources.prediction(tmp_path, {"a": TINY})
    Image.new("RGB", (4, 3)).save(folder / "a_overlay.png")
    source = open_source(folder)
    assert [item.id for item in source.items] == ["a"]
    assert source.left_out == [folder / "a_overlay.png"]


def test_pictures_of_a_prediction_are_found_by_id(tmp_path: Path) -> None:
    folder = label_sources.prediction(tmp_path / "out", scenes())
    label_sources.pictures(tmp_path / "images", scenes())
    source = open_source(folder, images=tmp_path / "images")
    assert source.root == tmp_path / "images"
    assert [item.name for item in source.items] == [f"{name}.jpg" for name in sorted(scenes())]


def test_a_picture_that_is_not_there_or_there_twice_is_named(tmp_path: Path) -> None:
    folder = label_sources.prediction(tmp_path / "out", {"a": TINY})
    images = tmp_path / "images"
    with pytest.raises(ArtefactError, match="images: no such folder; --images is the folder of the pictures"):
        open_source(folder, images=images)
    images.mkdir()
    with pytest.raises(ArtefactError, match="expected one picture of 'a', found none"):
        open_source(folder, images=images)
    for suffix in ("jpg", "png"):
        Image.new("RGB", (5, 4)).save(images / f"a.{suffix}")
    with pytest.raises(ArtefactError, match=r"found 2 of them \(a.jpg, a.png\)"):
        open_source(folder, images=images)


def test_folders_without_label_maps_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="no such folder"):
        open_source(tmp_path / "none")
    with pytest.raises(ArtefactError, match=r"expected a folder of a run.* found neither"):
        open_source(tmp_path)
    with pytest.raises(ArtefactError, match="expected label maps, found none"):
        open_source(label_sources.prediction(tmp_path / "out", {}))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected the columns label and class"),
        ("id,name\n1,cat\n", "expected the columns label and class"),
        ("label,class\n0,background\n1,cat\n1,dog\n", "expected each label once, .* found 0, 1, 1"),
        ("label,class\nx,cat\n", "found x"),
        ("label,class\n256,cat\n", "found 256"),
    ],
)
def test_a_legend_that_says_something_else_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "legend.csv").write_text(text)
    with pytest.raises(ArtefactError, match=rf"legend.csv: .*{said}"):
        read_legend(tmp_path / "legend.csv")


def test_a_legend_may_have_void_and_any_order(tmp_path: Path) -> None:
    (tmp_path / "legend.csv").write_text(
        "\ufefflabel,class,red\n255,void,9\n2,dog,1\n0,background,0\n1,cat,2\n"
    )
    assert read_legend(tmp_path / "legend.csv") == {1: "cat", 2: "dog"}


def test_a_name_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    folder = label_sources.prediction(tmp_path, {"a": TINY})
    legend = folder / "legend.csv"
    legend.write_text(legend.read_text().replace("owl", "cat"))
    with pytest.raises(ArtefactError, match="the class 'cat' occurs twice; rename it"):
        check_names(open_source(folder), set())
