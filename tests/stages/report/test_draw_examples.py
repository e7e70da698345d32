"""The picture of a few images with what the chain made of them."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from tests.support.builders import STATISTICS, Data, make_data, write_maps, write_weights
from tests.support.networks import build_segmenter
from wsss.artefacts.formats import (
    ArtefactError,
    Manifest,
    Record,
    read_manifest,
    write_labels,
    write_manifest,
    write_mask,
)
from wsss.stages.report import draw_examples

NETWORK: dict[str, Any] = {
    "backbone": {"model": "resnet18", "arguments": {"channels": [8, 8, 16, 16]}, "output_stride": 8},
    "rates": [1, 2],
    "multi_scale": [0.5],
    "loss": "cross_entropy",
    **STATISTICS,
}
INFERENCE = {"scales": [1.0], "mirror": False, "crf": None}


def square(record: Record) -> np.ndarray:
    label = np.zeros((record.height, record.width), np.uint8)
    label[8:24, 10:28] = record.classes[0] + 1 if record.classes else 0
    return label


def add_masks(data: Data) -> None:
    records = []
    for record in data.records:
        mask = data.path(f"{record.id}_mask.png")
        write_mask(mask, square(record))
        fields = {**vars(record), "mask": str(mask), "splits": ("train", "masked")}
        records.append(Record(**fields))
    write_manifest(data.manifest, Manifest("toy", ("cat", "dog", "owl"), tuple(records)))


@pytest.fixture
def data(tmp_path: Path) -> Data:
    torch.manual_seed(0)
    data = make_data(tmp_path)
    write_maps(data, data.path("cam"))
    write_maps(data, data.path("adcam"), seed=1)
    labels = [(record.id, square(record)) for record in data.records]
    write_labels(data.path("pseudo"), data.path("pseudo.jsonl"), labels)
    write_weights(data.path("weights"), build_segmenter(NETWORK, 4))
    return data


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that were saved."""
    figures: list[Figure] = []
    save = draw_examples.save

    def keep(figure: Figure, path: Path) -> None:
        figures.append(figure)
        save(figure, path)

    monkeypatch.setattr(draw_examples, "save", keep)
    return figures


def run(data: Data, name: str = "examples.png", **changed: Any) -> bytes:
    arguments: dict[str, Any] = {
        "manifest": data.manifest,
        "cams": [data.path("cam")],
        "maps": [data.path("adcam")],
        "pseudo": [data.path("pseudo")],
        "indexes": [data.path("pseudo.jsonl")],
        "weights": data.path("weights"),
        "figure": data.path(name),
        "network": NETWORK,
        "settings": INFERENCE,
        "method": "adcam",
        "examples": {"images": [], "count": 2},
    }
    draw_examples.run(**{**arguments, **changed})
    return data.path(name).read_bytes()


def titles(figure: Figure) -> list[str]:
    return [cell.get_title() for cell in figure.axes if cell.get_title()]


def test_columns_lead_from_the_image_to_the_truth(data: Data, drawn: list[Figure]) -> None:
    add_masks(data)
    run(data)
    assert titles(drawn[0]) == ["image", "CAM", "AD-CAM", "pseudo label", "prediction", "truth"]
    assert [cell.get_ylabel() for cell in drawn[0].axes[::6]] == ["dog\nowl", "owl"]
    assert [text.get_text() for text in drawn[0].legends[0].get_texts()] == ["dog", "owl"]


def test_refined_maps_are_drawn_where_there_are_any(data: Data, drawn: list[Figure]) -> None:
    run(data, walked=[data.path("adcam")])
    assert titles(drawn[0]) == ["image", "CAM", "AD-CAM", "refined", "pseudo label", "prediction"]


def test_without_masks_there_is_no_truth(data: Data, drawn: list[Figure]) -> None:
    run(data)
    assert "truth" not in titles(drawn[0])


def test_same_input_gives_the_same_bytes(data: Data) -> None:
    add_masks(data)
    assert run(data, "a.png") == run(data, "b.png")


def test_heat_is_highest_where_a_map_is(data: Data, drawn: list[Figure]) -> None:
    run(data, examples={"images": [], "count": 1})
    picture = np.asarray(drawn[0].axes[1].images[0].get_array()).astype(float)
    peak = 0.9 * 255 * np.array(mpl.colormaps["inferno"](1.0)[:3])
    assert (picture[14, 20] >= peak - 1).all()  # both classes' maps are 1 around there


def test_maps_of_no_shard_are_refused(data: Data) -> None:
    with pytest.raises(ArtefactError, match="none of the shards"):
        run(data, maps=[])


def test_named_images_are_drawn_in_their_order(data: Data, drawn: list[Figure]) -> None:
    run(data, examples={"images": ["img3", "img0"], "count": 6})
    assert [cell.get_ylabel() for cell in drawn[0].axes[::5]] == ["owl", "cat"]


def test_an_image_that_was_not_trained_on_has_its_prediction_alone(data: Data, drawn: list[Figure]) -> None:
    add_masks(data)
    held_back = Record(**{**vars(data.records[0]), "splits": ("val",)})
    manifest = read_manifest(data.manifest)
    write_manifest(data.manifest, Manifest("toy", manifest.classes, (held_back, *manifest.records[1:])))
    run(data, examples={"images": ["img0", "img3"], "count": 6})
    blank = [bool((np.asarray(cell.images[0].get_array()) == 255).all()) for cell in drawn[0].axes[:12]]
    assert blank == [False, True, True, True, False, True] + [False] * 6  # it has no mask either


def test_an_image_that_is_not_there_is_named(data: Data) -> None:
    with pytest.raises(ArtefactError, match=r"toy\.examples\.images: .*'img9'; did you mean 'img"):
        run(data, examples={"images": ["img9"], "count": 6})
