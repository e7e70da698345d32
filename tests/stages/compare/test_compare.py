"""The comparison's table: one row per system, its scores over the runs and its costs."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.support.compared import JOBS, SHARDS, SYSTEMS, Scene, document, make_scene, write_benchmark
from tests.support.settings import CONFIG
from wsss.artefacts.formats import ArtefactError, read_json, write_json
from wsss.config.systems import TRUTH, System, system_of
from wsss.data.published import published_system
from wsss.evaluation.costs import Cost, add
from wsss.stages.compare.compare import _facts


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return make_scene(tmp_path)


def minutes(*rules: str, parts: int = 1) -> float:
    return parts * sum(JOBS[rule][0] for rule in rules) / 60


def test_a_row_a_system_in_their_order(scene: Scene) -> None:
    assert list(scene.compare()["system"]) == [system.name for system in SYSTEMS]


def test_scores_of_one_run_have_no_deviation(scene: Scene) -> None:
    row = scene.compare().loc["AD-CAM + IRNet"]
    assert row["seed_miou"] == pytest.approx(0.55)
    assert row["pseudo_miou"] == pytest.approx(0.65)
    assert row["segmentation_miou"] == pytest.approx(0.63)
    assert row["segmentation_fp"] == pytest.approx(0.6 - 0.63 / 2)
    assert row["segmentation_iou_owl"] == pytest.approx(0.60)
    assert pd.isna(row["seed_miou_deviation"])
    assert (row["seed_threshold"], row["seed_configured_threshold"]) == (0.3, 0.25)
    assert row["seed_configured_miou"] == pytest.approx(0.5)


def test_mean_and_sample_deviation_over_runs(tmp_path: Path) -> None:
    row = make_scene(tmp_path, runs=(3, 1, 2)).compare().loc["CAM"]  # 0.3, 0.4, 0.5
    assert row["seed_miou"] == pytest.approx(0.4)
    assert row["seed_miou_deviation"] == pytest.approx(0.1)
    assert row["runs"] == "3 1 2"


def test_the_table_says_what_was_measured(scene: Scene) -> None:
    row = scene.compare().loc["APC"]
    assert (row["seed_split"], row["seed_images"]) == ("masked", 8)
    assert row["seed_rule"].startswith("threshold: highest mIoU of the sweep, chosen on this very truth")
    assert row["pseudo_rule"] == "inference tagged (no CRF)"
    assert row["segmentation_split"] == "val"
    assert row["segmentation_rule"] == "inference big (side 48, no CRF)"


def test_a_row_of_another_inference_has_its_own_score_and_speed(scene: Scene) -> None:
    path = next(path for path in scene.files["segmentation"] if "/apc/" in str(path))
    other = {**document(0, 0.4, "predictions at another side", "val"), "side": 96, "crf": {"iterations": 10}}
    found = read_json(path)
    write_json(path, {**found, "inferences": {**found["inferences"], "wide": other}})
    write_benchmark(
        scene.path("benchmarks/predict_single_stage_masks/toy/run0/apc/val/wide/000of001.tsv"), 4, 900
    )
    wide = {**vars(SYSTEMS[3]), "name": "APC wide", "inference": "wide"}
    table = scene.compare(systems=[vars(SYSTEMS[3]), wide])
    assert list(table["segmentation_miou"]) == pytest.approx([0.68, 0.4])
    assert table.loc["APC wide", "segmentation_iou_cat"] == pytest.approx(0.39)
    assert table.loc["APC wide", "segmentation_rule"] == "inference wide (side 96, dense CRF)"
    assert table.loc["APC wide", "images_per_second"] == pytest.approx(8 / 4)
    shared = ["seed_miou", "pseudo_miou", "train_minutes", "parameters"]
    assert table.loc["APC wide", shared].equals(table.loc["APC", shared])


def test_a_chain_s_table_says_by_which_threshold_and_inference(scene: Scene) -> None:
    path = next(path for path in scene.files["segmentation"] if "deeplab" in str(path))
    settings = {"scales": [1.0, 1.5], "mirror": True, "crf": {"iterations": 10}}
    write_json(path, {**read_json(path), **settings})
    row = scene.compare().loc["AD-CAM + IRNet"]
    assert row["pseudo_rule"] == "threshold 0.25, configured"
    assert row["segmentation_rule"] == "inference crf (side 48, scales 1 1.5, mirrored, dense CRF)"


def test_a_rule_s_scores_have_columns_and_its_name_a_place(scene: Scene) -> None:
    own = {"miou": 0.45, "threshold": 0.31, "threshold_rule": "otsu", "threshold_chosen": "by rule otsu"}
    for path in scene.files["seeds"]:
        write_json(path, {**read_json(path), "configured": own, "rules": {"otsu": own}})
    for path in scene.files["pseudo"]:
        if "patches" not in str(path) and "/apc/" not in str(path):
            write_json(path, {**read_json(path), **own, "threshold": None})
    row = scene.compare().loc["AD-CAM + IRNet"]
    assert (row["seed_configured_rule"], row["seed_configured_threshold"]) == ("otsu", 0.31)
    assert (row["seed_configured_miou"], row["seed_otsu_miou"]) == (0.45, 0.45)
    assert row["pseudo_rule"] == "threshold by rule otsu"
    assert ">at 0.31 by otsu<" in scene.draw().read_text()
    for path in scene.files["seeds"]:
        write_json(path, {**read_json(path), "configured": {**own, "threshold_deviation": 0.1}})
    assert scene.compare().loc["AD-CAM + IRNet", "seed_configured_threshold_deviation"] == 0.1
    assert ">mean 0.31 by otsu<" in scene.draw().read_text()


def test_parameters_leave_out_statistics_and_count_the_whole_chain(scene: Scene) -> None:
    table = scene.compare()
    assert table.loc["CAM", "parameters"] == 107
    assert table.loc["AD-CAM + IRNet", "parameters"] == 3 * 107
    assert table.loc["AD-CAM + IRNet", "parameters_predicting"] == 107
    assert pd.isna(table.loc["CAM", "parameters_predicting"])


def test_minutes_are_those_of_the_chain_s_own_jobs(scene: Scene) -> None:
    table = scene.compare()
    chain = ("train_classifier", "train_irn", "train_segmenter")
    assert table.loc["CAM", "train_minutes"] == pytest.approx(minutes("train_classifier"))
    assert table.loc["AD-CAM + IRNet", "train_minutes"] == pytest.approx(minutes(*chain))
    assert table.loc["APC", "train_minutes"] == pytest.approx(minutes("train_single_stage"))
    plain = ("extract_maps", "diffuse_cams", "make_pseudo_labels")
    refined = (*plain, "make_irn_labels", "walk_cams")
    assert table.loc["CAM", "label_minutes"] == pytest.approx(minutes(*plain, parts=2))
    assert table.loc["AD-CAM + IRNet", "label_minutes"] == pytest.approx(minutes(*refined, parts=2))
    assert pd.isna(table.loc["APC", "label_minutes"])


def test_maps_made_without_a_cache_count_the_network_once(scene: Scene) -> None:
    """Also where a cache was made before, for other methods."""
    for shard in SHARDS:
        scene.path(f"benchmarks/diffuse_cams/toy/run0/small/cam/{shard}.tsv").unlink()
        write_benchmark(scene.path(f"benchmarks/make_maps/toy/run0/small/cam/{shard}.tsv"), 8.0, 50.0)
    row = scene.compare().loc["CAM"]
    assert row["label_minutes"] == pytest.approx(2 * 8 / 60 + minutes("make_pseudo_labels", parts=2))
    assert row["peak_memory_mb"] == 100


def test_a_classifier_with_another_s_weights_has_its_parameters_and_training(scene: Scene) -> None:
    systems = [asdict(SYSTEMS[0])]
    shared = {**systems[0], "name": "shared", "classifier": "mine", "trained": "small"}
    for rule in ("extract_maps", "diffuse_cams"):
        folder = "mine/cam" if rule == "diffuse_cams" else "mine"
        for shard in SHARDS:
            write_benchmark(scene.path(f"benchmarks/{rule}/toy/run0/{folder}/{shard}.tsv"), 12.0, 50.0)
    rows = scene.compare(systems=[*systems, shared])
    assert rows.loc["shared", "parameters"] == rows.loc["CAM", "parameters"] > 0
    assert rows.loc["shared", "train_minutes"] == rows.loc["CAM", "train_minutes"]
    assert rows.loc["shared", "label_minutes"] == pytest.approx(2 * 2 * 12 / 60)


def test_speed_and_memory(scene: Scene) -> None:
    table = scene.compare()
    assert table.loc["AD-CAM + IRNet", "images_per_second"] == pytest.approx(8 / 3)
    assert table.loc["APC", "images_per_second"] == pytest.approx(8 / 1.5)
    assert pd.isna(table.loc["CAM", "images_per_second"])
    assert list(table["peak_memory_mb"]) == [100, 100, 300, 400]


@pytest.mark.parametrize(
    ("lost", "column"),
    [
        ("train_irn/toy/run0/small/adcam/irn.tsv", "train_minutes"),
        ("walk_cams/toy/run0/small/adcam/irn/001of002.tsv", "label_minutes"),
        ("predict_masks/toy/run0/small/adcam/irn/deeplab/val/crf/000of001.tsv", "images_per_second"),
    ],
)
def test_what_no_benchmark_tells_is_empty_and_not_guessed(scene: Scene, lost: str, column: str) -> None:
    scene.path(f"benchmarks/{lost}").unlink()
    row = scene.compare().loc["AD-CAM + IRNet"]
    assert pd.isna(row[column])
    assert pd.isna(row["peak_memory_mb"])
    others = {"train_minutes", "label_minutes", "images_per_second"} - {column}
    assert row[sorted(others)].notna().all()


def test_a_job_too_short_for_its_memory_keeps_its_time(scene: Scene) -> None:
    write_benchmark(scene.path("benchmarks/train_single_stage/toy/run0/apc.tsv"), 30, "NA")
    row = scene.compare().loc["APC"]
    assert row["train_minutes"] == pytest.approx(0.5)
    assert pd.isna(row["peak_memory_mb"])


def test_another_table_than_a_benchmark_is_refused(scene: Scene) -> None:
    scene.path("benchmarks/train_single_stage/toy/run0/apc.tsv").write_text("a\tb\n1\t2\n")
    with pytest.raises(ArtefactError, match="expected a benchmark table with columns s and max_rss"):
        scene.compare()


def test_costs_add_up_only_where_all_are_known() -> None:
    assert add([Cost(1, 10), Cost(2, 30)]) == Cost(3, 30)
    assert add([Cost(1, 10), None]) is None
    assert add([]) is None
    assert add([Cost(1, None), Cost(2, 30)]) == Cost(3, None)


def test_a_chain_on_apc_s_patches_counts_its_training(scene: Scene) -> None:
    fields = {
        **vars(SYSTEMS[3]),
        "name": "APC + DeepLab",
        "single": None,
        "pseudo": None,
        "segmenter": "deeplab",
    }
    for shard in ("000of002", "001of002"):
        write_benchmark(scene.path(f"benchmarks/extract_patch_maps/toy/run0/apc/{shard}.tsv"), 12, 20)
    write_benchmark(scene.path("benchmarks/train_segmenter/toy/run0/apc/patches/none/deeplab.tsv"), 90, 1)
    row = scene.compare(systems=[fields], pseudo=[]).loc["APC + DeepLab"]
    assert row["train_minutes"] == pytest.approx(minutes("train_single_stage", "train_segmenter"))
    assert row["label_minutes"] == pytest.approx(24 / 60)


def test_order_of_the_files_does_not_matter(scene: Scene) -> None:
    first = scene.compare()
    turned = {name: paths[::-1] for name, paths in scene.some(("seeds", "pseudo", "weights")).items()}
    pd.testing.assert_frame_equal(scene.compare(**turned), first)


def test_without_files_scores_are_empty(scene: Scene) -> None:
    row = scene.compare(seeds=[], pseudo=[], segmentation=[], weights=[]).loc["APC"]
    empty = ["seed_miou", "pseudo_miou", "segmentation_miou", "parameters", "supervision", "pixel_labels"]
    assert row[empty].isna().all()
    assert row["train_minutes"] == pytest.approx(2)


def test_a_run_without_its_file_is_an_error(tmp_path: Path) -> None:
    scene = make_scene(tmp_path, runs=(0, 1))
    kept = [path for path in scene.files["seeds"] if "run1/apc/" not in str(path)]
    with pytest.raises(
        ArtefactError, match=r"apc/patches/none/seed_miou.json: .* runs \[0, 1\], none of \[1\]"
    ):
        scene.compare(seeds=kept)


def test_pixel_labels_of_any_stage_count(scene: Scene) -> None:
    path = next(path for path in scene.files["segmentation"] if "deeplab" in str(path))
    seen = {"segmenter": "pixel labels of others", "classifier": "image labels"}
    write_json(path, {**read_json(path), "pixel_labels_used": True, "initial_supervision": seen})
    table = scene.compare()
    assert bool(table.loc["AD-CAM + IRNet", "pixel_labels"]) is True
    assert bool(table.loc["AD-CAM", "pixel_labels"]) is False
    assert table.loc["AD-CAM + IRNet", "supervision"] == (
        "classifier: image labels; segmenter: pixel labels of others"
    )


def test_an_upper_bound_is_said(scene: Scene) -> None:
    assert scene.compare()["training_supervision"].isna().all()
    assert "trained on pixel labels" not in scene.draw().read_text()
    path = next(path for path in scene.files["segmentation"] if "deeplab" in str(path))
    taught = {"segmenter": "true masks of the training images, 3 of 4"}
    write_json(path, {**read_json(path), "pixel_labels_used": True, "training_supervision": taught})
    table = scene.compare()
    assert table.loc["AD-CAM + IRNet", "training_supervision"] == f"segmenter: {taught['segmenter']}"
    page = scene.draw().read_text()
    assert "trained on pixel labels" in page
    assert "segmenter: true masks of the training images, 3 of 4" in page


def test_published_figures_stand_beside_voc_alone(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    assert scene.compare()["published_as"].isna().all()
    seen: list[tuple[str, dict[str, Any]]] = []

    def published(kind: str, facts: dict[str, Any]) -> dict[str, Any] | None:
        seen.append((kind, facts))
        return (
            {"name": "AD-CAM", "source": "Table 3", "seed": {"miou": 0.635}} if facts.get("method") else None
        )

    monkeypatch.setattr("wsss.stages.compare.compare.published_system", published)
    table = scene.compare(kind="voc")
    assert table.loc["AD-CAM", "published_seed_miou"] == 0.635
    assert pd.isna(table.loc["APC", "published_seed_miou"])
    assert [kind for kind, _ in seen] == ["voc"] * 4
    assert seen[2][1] == {
        "method": {"kind": "adcam", "direction": "gather", "soft": False},
        "affinity": "attention",
        "refined": True,
        "pixel_labels": False,
        "network": {"kind": "conformer"},
        "training": "tags",
    }
    assert seen[3][1]["side"] == 48


def facts_of(system: System) -> dict[str, Any]:
    """What the comparison would find out about a configured system from its files."""
    inference = CONFIG["single_stage_inferences" if system.single else "inferences"][system.inference]
    section = "single_stage" if system.classifier in CONFIG["single_stage"] else "classifiers"
    views = CONFIG[section][system.classifier].get("views", {})
    if derived := CONFIG[section][system.classifier].get("maps"):
        views = {**views, "maps": derived}
    maps = {"settings": CONFIG["methods"][system.method], "views": views}
    seed = {"maps": maps, "pixel_labels_used": False}
    documents = {
        "seed": [seed],
        "pseudo": [],
        "segmentation": [{**inference, "pixel_labels_used": False}] if system.segments else [],
    }
    role = "single_stage" if system.single else "classifier"
    return _facts(system, documents, {role: CONFIG[section][system.classifier]})


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        (
            "voc",
            {
                "CAM ResNet-50": "CAM, ResNet-50",
                "CAM ResNet-50 + IRNet": "CAM, ResNet-50 + IRNet",
                "ReCAM": "ReCAM",
                "ReCAM + IRNet": "ReCAM + IRNet",
                "AdvCAM": "AdvCAM",
                "AdvCAM + IRNet": "AdvCAM + IRNet",
                "RIB": "RIB",
                "RIB + IRNet": "RIB + IRNet",
                "GETAM + IRNet": "GETAM, ViT-B, with saliency maps",
                "CAM": "CAM, Conformer-S",
                "CAM + IRNet": "CAM, Conformer-S + IRNet",
                "CAM x attention": "TS-CAM, Conformer-S",
                "TransCAM + IRNet": "TransCAM, Conformer-S",
                "Att-Diffu": "Att-Diffu",
                "AD-CAM": "AD-CAM",
                "AD-CAM + IRNet": "AD-CAM + IRNet",
                "AD-CAM*": "AD-CAM without stop-gradient",
                "ViT-PCM": "ViT-PCM, patches as pseudo labels",
                "ToCo": "ToCo",
                "APC": "APC",
                "APC average pooling": "APC, average pooling",
                "APC max pooling": "APC, maximum pooling",
                "APC top-K pooling": "APC, top-K pooling",
                "APC without contrast": "APC without contrast",
                "APC max pooling without contrast": "APC, maximum pooling without contrast",
                "APC alpha 0.10": "APC, alpha 0.10",
                "APC alpha 0.15": "APC, alpha 0.15",
                "APC alpha 0.25": "APC, alpha 0.25",
                "APC beta 0.05": "APC, beta 0.05",
                "APC beta 0.08": "APC, beta 0.08",
                "APC beta 0.12": "APC, beta 0.12",
                "APC side 640": "APC, inference at 640",
                "APC side 800": "APC, inference at 800",
                "APC side 1120": "APC, inference at 1120",
            },
        ),
        ("coco", {"ToCo": "ToCo", "APC": "APC", "AdvCAM + IRNet": "AdvCAM + IRNet"}),
        ("sample", {}),
    ],
)
def test_configured_systems_stand_beside_their_own_figures(dataset: str, expected: dict[str, str]) -> None:
    settings = CONFIG["datasets"][dataset]
    systems = [system_of(entry, settings) for entry in settings["compare"]["systems"]]
    systems = [system for system in systems if system.labels_by_itself]
    found = {system.name: published_system(dataset, facts_of(system)) for system in systems}
    assert {name: entry["name"] for name, entry in found.items() if entry} == expected


@pytest.mark.parametrize("side", [960, 640])
def test_vit_pcm_s_own_segmentation_says_what_it_was_told(side: int) -> None:
    """Its published scores of val knew val's image labels: each says so."""
    system = System("own", "vit_pcm", "patches", "none", None, "vit_pcm", "side_960_patches", "tagged")
    facts = {**facts_of(system), "side": side}
    found = {kind: published_system(kind, facts) for kind in ("voc", "coco")}
    if side == 640:
        assert found == {"voc": None, "coco": None}
        return
    assert found["voc"] is not None and found["coco"] is not None
    assert (found["voc"]["segmentation"], found["coco"]["segmentation"]) == ({"miou": 0.693}, {"miou": 0.45})
    assert all("val's image labels" in entry["source"] for entry in found.values() if entry)


@pytest.mark.parametrize("method", ["adcam_k10", "adcam_t8"])
def test_another_k_or_t_than_the_paper_s_has_no_figure(method: str) -> None:
    system = System("other", "conformer_small", method, "none", None, None, "multi_crf", None)
    assert published_system("voc", facts_of(system)) is None


def test_a_score_of_nothing_stays_empty(scene: Scene) -> None:
    path = scene.files["seeds"][0]
    nothing = document(
        0, 0.5, "class maps", "masked", configured={"miou": None, "threshold": 0.25}, threshold=0.0
    )
    write_json(path, {**read_json(path), **nothing, "miou": None, "threshold_chosen": "highest mIoU"})
    row = scene.compare().loc["CAM"]
    assert row[["seed_miou", "seed_configured_miou"]].isna().all()


@pytest.mark.parametrize(
    ("method", "affinity", "shown"),
    [
        ("adcam", None, True),
        ("adcam_hand_on", None, True),
        ("adcam_literal", None, False),
        ("adcam_soft", None, False),
        ("adcam", {"kind": "attention"}, True),
        ("adcam", {"kind": "features", "beta": 1.2, "gamma": 3.0}, False),
        ("attention_diffusion", {"kind": "features", "beta": 1.2, "gamma": 3.0}, False),
        ("attention_diffusion", None, True),
    ],
)
def test_other_readings_stand_beside_no_figure(
    method: str, affinity: dict[str, Any] | None, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = CONFIG["classifiers"]["conformer_small"]["views"]
    kept = {key: value for key, value in views.items() if key != "affinity"}
    monkeypatch.setitem(CONFIG["classifiers"]["conformer_small"], "views", kept)
    if affinity:
        kept["affinity"] = affinity
    entry = {"name": "x", "classifier": "conformer_small", "method": method, "refiner": "none"}
    system = system_of({**entry, "segmenter": None}, CONFIG["datasets"]["voc"])
    assert (published_system("voc", facts_of(system)) is not None) is shown


def with_upper_bound(scene: Scene, miou: float) -> list[dict[str, Any]]:
    """The scene's systems and an upper bound, of which files are written."""
    bound = System("masks", TRUTH, TRUTH, TRUTH, "deeplab", None, "crf", None)
    final = document(0, miou, "predictions", "val", training_supervision={"segmenter": "true masks"}, side=48)
    own = {key: final[key] for key in ("miou", "mean_fp", "mean_fn", "per_class", "side")}
    final |= {"inference": "crf", "inferences": {"crf": own}, "pixel_labels_used": True}
    with scene.making("evaluate_segmentation", 0, labeller=TRUTH, segmenter="deeplab"):
        write_json(scene.add("segmentation", "run0/truth/deeplab/seg_miou.json"), final)
    write_benchmark(scene.path("benchmarks/train_segmenter/toy/run0/truth/deeplab.tsv"), 90, 10)
    return [asdict(system) for system in (*SYSTEMS, bound)]


def test_each_system_s_share_of_the_upper_bound(scene: Scene) -> None:
    systems = with_upper_bound(scene, 0.8)
    table = scene.compare(systems=systems)
    shares = table["segmentation_share"]
    assert shares["AD-CAM + IRNet"] == pytest.approx(0.63 / 0.8)
    assert shares["APC"] == pytest.approx(0.68 / 0.8) and shares["masks"] == 1
    assert pd.isna(shares["CAM"])  # it segments nothing
    row = table.loc["masks"]
    assert row["pixel_labels"] and row["training_supervision"] == "segmenter: true masks"
    assert row["stages"] == TRUTH and row["train_minutes"] == pytest.approx(1.5)
    assert row[["label_minutes", "seed_miou", "pseudo_miou", "published_as"]].isna().all()
    page = scene.draw(systems=systems).read_text()
    assert "of the upper bound" in page and ">85.0<" in page and ">78.8<" in page


def test_without_an_upper_bound_there_is_no_share(scene: Scene) -> None:
    assert scene.compare()["segmentation_share"].isna().all()
    assert "of the upper bound" not in scene.draw().read_text()


def test_times_up_to_class_maps_are_told_in_cam_s(scene: Scene) -> None:
    """By hand from the jobs' seconds: 60 and 2 x 9 of CAM, with IRNet 90 and 2 x 15, of APC 120."""
    table = scene.compare()
    assert set(table["cam"]) == {"CAM"}
    assert list(table["train_in_cam"]) == pytest.approx([1, 1, 90 / 60, 120 / 60])
    assert list(table["maps_in_cam"][:3]) == pytest.approx([1, 1, 15 / 9])
    assert pd.isna(table.loc["APC", "maps_in_cam"])
    page = scene.draw().read_text()
    assert "maps, in CAM&#39;s" in page and ">1.67<" in page


def test_without_cam_or_its_times_nothing_is_told_in_them(scene: Scene) -> None:
    scene.path("benchmarks/train_classifier/toy/run0/small.tsv").unlink()
    table = scene.compare()
    assert table["train_in_cam"].isna().all() and table["maps_in_cam"].notna().sum() == 3
    table = scene.compare(systems=[asdict(system) for system in SYSTEMS[1:]])
    assert table[["cam", "train_in_cam", "maps_in_cam"]].isna().all(axis=None)
    assert "in CAM&#39;s" not in scene.draw(systems=[asdict(system) for system in SYSTEMS[1:]]).read_text()
