"""The comparison's page: what stands in it. What it does is tested in a browser, in tests/report."""

import base64
import json
import re
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plotly.offline import get_plotlyjs

from tests.support.compared import DRAWN, SYSTEMS, Scene, make_scene
from wsss.artefacts.formats import ArtefactError, read_json, read_manifest, write_json, write_manifest
from wsss.stages.compare.draw_comparison import disagreement


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    scene = make_scene(tmp_path)
    scene.compare()
    return scene


def charts(page: str) -> dict[str, dict[str, Any]]:
    found = re.findall(r'<script type="application/json" id="(\w+)-data">(.*?)</script>', page, re.DOTALL)
    return {name: json.loads(content) for name, content in found}


def points(figure: dict[str, Any]) -> dict[str, Any]:
    return {trace["name"]: (trace["x"], trace["y"]) for trace in figure["figure"]["data"]}


def test_the_same_input_gives_the_same_bytes(scene: Scene) -> None:
    assert scene.draw().read_bytes() == scene.draw(page=scene.path("again.html")).read_bytes()


def test_the_charts_library_is_within_at_less_than_half_its_size(scene: Scene) -> None:
    page = scene.draw().read_text()
    (packed,) = re.findall(r'<script type="application/zlib" id="plotly">([\w+/=]*)</script>', page)
    assert zlib.decompress(base64.b64decode(packed)).decode() == get_plotlyjs()
    assert len(packed) < len(get_plotlyjs()) / 2


def test_cost_against_score(scene: Scene) -> None:
    chart = charts(scene.draw().read_text())["cost"]
    found = points(chart["Segmentation|training, minutes"])
    assert found == {"AD-CAM + IRNet": ([3.0], [pytest.approx(63)]), "APC": ([2.0], [pytest.approx(68)])}
    whole = points(chart["Segmentation|training and making labels, minutes"])
    assert whole["AD-CAM + IRNet"][0] == [pytest.approx(3 + 32 / 60)]
    assert whole["APC"][0] == [2.0]
    note = chart["Segmentation|training, minutes"]["note"]
    assert "8 validation images (split val); inference" in note
    assert "One run (0), so no deviation." in note
    assert "Not measured: CAM, AD-CAM." in note


def test_bars_of_each_class(scene: Scene) -> None:
    found = points(charts(scene.draw().read_text())["classes"]["Seed"])
    assert list(found) == [system.name for system in SYSTEMS]
    assert found["CAM"] == (["background", "cat", "dog", "owl"], pytest.approx([30, 29, 28, 27]))


def test_threshold_curves_are_means_over_the_runs(tmp_path: Path) -> None:
    scene = make_scene(tmp_path, runs=(0, 1))
    scene.compare()
    chart = charts(scene.draw().read_text())["curves"]
    thresholds, values = points(chart["mIoU"])["CAM"]
    assert thresholds == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert values[3] == pytest.approx(35)
    assert "mean over 2 runs (0, 1)" in chart["mIoU"]["note"]


def test_sensitivity_to_k_and_t(scene: Scene) -> None:
    chart = charts(scene.draw().read_text())["sensitivity"]
    assert points(chart["co-neighbours k|best threshold of the sweep"]) == {
        "small, T = 2": ([10, 20, 50], pytest.approx([41, 42, 45]))
    }
    assert points(chart["diffusion steps T|configured threshold"]) == {
        "small, k = 50": ([1, 2, 4], pytest.approx([40] * 3))
    }
    assert (
        "8 training images that have a mask (split masked)"
        in chart["diffusion steps T|configured threshold"]["note"]
    )


def test_a_rival_of_the_same_k_and_t_is_a_line_of_its_own_and_no_further_run(scene: Scene) -> None:
    for given in tuple(scene.files["sensitivity"]):
        found = read_json(given)
        method = {**found["settings"]["method"], "direction": "gather"}
        path = scene.add("sensitivity", f"run0/small/gather_{given.parts[-3]}/none/seed_miou.json")
        settings = {**found["settings"], "method": method}
        write_json(path, {**found, "settings": settings, "miou": found["miou"] - 0.2})
        found["settings"]["method"]["direction"] = "hand_on"
        write_json(given, found)
    lines = points(
        charts(scene.draw().read_text())["sensitivity"]["co-neighbours k|best threshold of the sweep"]
    )
    assert lines == {
        "small, direction gather, T = 2": ([10, 20, 50], pytest.approx([21, 22, 25])),
        "small, direction hand_on, T = 2": ([10, 20, 50], pytest.approx([41, 42, 45])),
    }


def test_shares_of_all_tokens_have_an_axis_of_their_own(scene: Scene) -> None:
    given = scene.files["sensitivity"][0]
    found = read_json(given)
    for share, steps in ((0.09, 2), (0.2, 2), (0.2, 4)):
        method = {**found["settings"]["method"], "neighbours": share, "steps": steps}
        path = scene.add("sensitivity", f"run0/small/n{share}_{steps}/none/seed_miou.json")
        write_json(path, {**found, "settings": {**found["settings"], "method": method}})
    chart = charts(scene.draw().read_text())["sensitivity"]
    whole = points(chart["co-neighbours k|best threshold of the sweep"])
    assert {name: line[0] for name, line in whole.items()} == {"small, T = 2": [10, 20, 50]}
    shares = points(chart["co-neighbours k, share of all tokens|best threshold of the sweep"])
    assert {name: line[0] for name, line in shares.items()} == {"small, T = 2": [0.09, 0.2]}
    steps = points(chart["diffusion steps T|best threshold of the sweep"])
    assert steps["small, k = 0.2 N"][0] == [2, 4]


def test_a_rival_that_is_not_varied_is_a_point(scene: Scene) -> None:
    for given in tuple(scene.files["sensitivity"]):
        found = read_json(given)
        found["settings"]["method"]["direction"] = "gather"
        write_json(given, found)
    method = {**found["settings"]["method"], "neighbours": 50, "steps": 2, "direction": "literal"}
    path = scene.add("sensitivity", "run0/small/literal/none/seed_miou.json")
    write_json(path, {**found, "settings": {**found["settings"], "method": method}})
    chart = charts(scene.draw().read_text())["sensitivity"]
    for axis, place in (("co-neighbours k", 50), ("diffusion steps T", 2)):
        lines = points(chart[f"{axis}|best threshold of the sweep"])
        assert [line[0] for name, line in lines.items() if "literal" in name] == [[place]]
        assert len(lines) == 2


def test_what_has_no_file_is_left_out(scene: Scene) -> None:
    page = scene.draw(**{argument: [] for argument in DRAWN}).read_text()
    assert set(charts(page)) == {"cost", "classes"}
    assert 'id="images"' not in page


def test_without_scores_their_charts_are_left_out(scene: Scene) -> None:
    scene.compare(seeds=[], pseudo=[], segmentation=[])
    page = scene.draw().read_text()
    assert set(charts(page)) == {"curves", "sensitivity"}
    assert page.count("Not measured for any system.") == 3


def test_what_was_not_measured_is_said(scene: Scene) -> None:
    scene.compare(segmentation=[], benchmarks=scene.path("nowhere"))
    page = scene.draw().read_text()
    assert "Not measured for any system." in page
    assert page.count('missing">not measured<') > 3 * len(SYSTEMS)
    assert "Segmentation|training, minutes" not in charts(page)["cost"]
    assert points(charts(page)["cost"]["Seed|training, minutes"]) == {}


def test_half_of_the_images_are_of_val_where_there_are_predictions(scene: Scene) -> None:
    page = scene.draw(images=10).read_text()
    assert (page.count('data-split="train"'), page.count('data-split="val"')) == (5, 5)
    page = scene.draw(images=6, predictions=[], prediction_indexes=[]).read_text()
    assert (page.count('data-split="train"'), page.count('data-split="val"')) == (6, 0)


def test_validation_images_without_image_labels_are_shown(scene: Scene) -> None:
    data = read_manifest(scene.path("manifest.jsonl"))
    records = [replace(record, classes=()) if "val" in record.splits else record for record in data.records]
    write_manifest(scene.path("manifest.jsonl"), replace(data, records=tuple(records)))
    page = scene.draw(images=8).read_text()
    assert (page.count('data-split="train"'), page.count('data-split="val"')) == (4, 4)
    assert page.count("no class · validation") == 4


def test_a_single_image_is_one_of_training(scene: Scene) -> None:
    page = scene.draw(images=1).read_text()
    assert (page.count('data-split="train"'), page.count('data-split="val"')) == (1, 0)


def test_every_system_s_map_and_labels_stand_beside_the_truth(scene: Scene) -> None:
    page = scene.draw(images=2, predictions=[], prediction_indexes=[]).read_text()
    for system in SYSTEMS:
        assert page.count(f'alt="{system.name}: class map of part/') == 2
        assert page.count(f'alt="{system.name}: labels of part/') == 2
    assert page.count('alt="Truth of part/') == 2


def test_names_are_text_and_never_markup(scene: Scene) -> None:
    fields = [{**vars(system), "name": f"<b>{system.name}</script>"} for system in SYSTEMS]
    scene.compare(systems=fields)
    page = scene.draw(systems=fields).read_text()
    assert "<b>CAM" not in page
    assert "&lt;b&gt;CAM&lt;/script&gt;" in page
    assert charts(page)["cost"]


def test_a_table_of_other_systems_is_refused(scene: Scene) -> None:
    with pytest.raises(ArtefactError, match=r"compare.csv: expected the systems \['CAM'\]"):
        scene.draw(systems=[vars(SYSTEMS[0])])


def test_published_figures_stand_beside_ours(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "published" not in scene.draw().read_text()
    entry = {"name": "Paper's", "source": "Table 3", "seed": {"miou": 0.635, "fp": 0.209, "fn": 0.166}}
    monkeypatch.setattr("wsss.stages.compare.compare.published_system", lambda kind, facts: entry)
    scene.compare()
    page = scene.draw().read_text()
    assert page.count(">63.5<small>FP 20.9 FN 16.6</small>") == len(SYSTEMS)
    assert "CAM: Paper&#39;s (Table 3)" in page
    assert page.count("published mIoU</button>") == 1


def test_other_work_stands_on_a_page_of_voc(scene: Scene) -> None:
    assert "ExCEL" not in scene.draw().read_text()
    page = scene.draw(kind="voc").read_text()
    assert "ExCEL" in page
    assert "within the same kind of supervision" in page


def test_disagreement_is_the_share_of_pixels_without_one_answer() -> None:
    one = np.zeros((4, 5), np.uint8)
    two, three = one.copy(), one.copy()
    two[0], three[:, 0] = 1, 2
    assert disagreement([one, two]) == pytest.approx(5 / 20)
    assert disagreement([one, two, three]) == pytest.approx(8 / 20)
    assert disagreement([two, two]) == 0
    assert disagreement([one]) is None
