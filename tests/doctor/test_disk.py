"""The estimate of what will be written, beside what stages really write."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.builders import SHARD, make_data, write_weights
from tests.support.networks import build_classifier
from tests.support.settings import CONFIG
from wsss.artefacts.formats import read_tensors, write_mask
from wsss.config.systems import Network
from wsss.config.views import strides
from wsss.doctor import disk
from wsss.doctor.data import Facts
from wsss.doctor.disk import Estimate, check_disk
from wsss.doctor.sizes import attention_bytes, cam_bytes, derived_bytes, label_bytes, map_bytes
from wsss.doctor.verdict import ERROR, OK, WARNING
from wsss.stages.cam import diffuse_cams
from wsss.stages.classify import derive_maps, extract_maps

NAMES = ["conformer_small", "conformer_nano", "resnet50", "vit_tiny", "vit_nano", "resnet50_dinov2"]
VOC = Facts({"train": 10582, "masked": 1464, "val": 1449, "test": 0}, [(375, 500)], 1.5)


@pytest.mark.parametrize(
    "stored", [60, 0.3, {"at_least": 60, "fraction": 0.3}], ids=["a number", "a fraction", "both"]
)
def test_arrays_of_the_stages_have_the_estimated_bytes(tmp_path: Path, stored: float) -> None:
    network = CONFIG["classifiers"]["conformer_nano"]["network"]
    views = {"scales": [1.0, 0.5], "mirror": True, "attention_steps": 2, "cache_similarity": True}
    views |= {"cached_neighbours": stored, "transcam": True}
    data = make_data(tmp_path)
    files = {"cams": tmp_path / "cams", "attention": tmp_path / "attention"}
    weights = write_weights(tmp_path / "weights", build_classifier(network, 3))
    extract_maps.run(
        manifest=data.manifest, weights=weights, **files, network=network, views=views, shard=SHARD
    )
    method: dict[str, Any] = {"kind": "cam"}
    diffuse_cams.run(manifest=data.manifest, **files, maps=tmp_path / "maps", settings=method, shard=SHARD)
    shown = [(record.height, record.width, len(record.classes)) for record in data.records if record.classes]
    expected = {
        "attention": sum(attention_bytes((height, width), network, views) for height, width, _ in shown),
        "views": sum(cam_bytes((height, width), count, network, views) for height, width, count in shown),
        "maps": sum(map_bytes((height, width), count) for height, width, count in shown),
    }
    for kind, name in (("attention", "attention"), ("views", "cams"), ("maps", "maps")):
        tensors = read_tensors(tmp_path / name, kind)
        arrays = [tensor for key, tensor in tensors.items() if not key.endswith("/classes")]
        assert sum(tensor.nbytes for tensor in arrays) == expected[kind], kind


@pytest.mark.parametrize(
    ("name", "kind", "changes"),
    [
        ("resnet_nano", "advcam", {"steps": 1, "small_steps": 1}),
        ("resnet_nano", "rib", {"rounds": 1, "crops": 0}),
        ("vit_nano", "getam", {}),
    ],
)
def test_derived_maps_have_the_estimated_bytes(
    tmp_path: Path, name: str, kind: str, changes: dict[str, Any]
) -> None:
    network = CONFIG["classifiers"][name]["network"]
    views = {"scales": [1.0, 0.5], "mirror": True, "cached_neighbours": 60, "attention_steps": 0}
    maps = CONFIG["classifiers"][f"{name}_{kind}"]["maps"] | changes
    data, cams = make_data(tmp_path), tmp_path / "cams"
    weights = write_weights(tmp_path / "weights", build_classifier(network, 3))
    files = {"cams": cams, "attention": tmp_path / "attention"}
    derive_maps.run(
        manifest=data.manifest, weights=weights, **files, network=network, views=views, maps=maps, shard=SHARD
    )
    arrays = {key: one for key, one in read_tensors(cams, "views").items() if not key.endswith("/classes")}
    assert sum(tensor.nbytes for tensor in arrays.values()) == sum(
        derived_bytes((one.height, one.width), len(one.classes), network, views, kind)
        for one in data.records
        if one.classes
    )


def test_a_classifier_of_derived_maps_writes_no_attention_and_trains_nothing(tmp_path: Path) -> None:
    """Of all that a chain adds, where another has the classifier's weights already."""
    sample = {**CONFIG["datasets"]["sample"], "single_stage": None}
    facts = Facts({"train": 320, "masked": 320, "val": 60, "test": 0}, [(80, 80)], 1.5)
    chains = {
        name: {"name": name, "classifier": name, "method": "cam", "refiner": "none", "segmenter": None}
        for name in ("vit_nano", "vit_nano_getam")
    }

    def need(*names: str) -> float:
        compare = {"systems": [chains[name] for name in names], "sensitivity": [], "images": 1}
        config = {**CONFIG, "datasets": {"sample": {**sample, "compare": compare}}}
        return Estimate(config, "sample", facts).everything(tmp_path)

    network, views = (CONFIG["classifiers"]["vit_nano"][key] for key in ("network", "views"))
    image = derived_bytes((80, 80), 1.5, network, views, "getam") + map_bytes((80, 80), 1.5)
    added = 320 * (image + label_bytes((80, 80)))
    assert need("vit_nano", "vit_nano_getam") - need("vit_nano") == pytest.approx(1.05 * added)


@pytest.mark.parametrize("name", NAMES)
def test_strides_are_those_of_the_networks(name: str) -> None:
    network = CONFIG["classifiers"][name]["network"]
    coarse = [{**network, "output_stride": 32}] if name == "conformer_small" else []
    for settings in [network, *coarse]:
        with torch.device("meta"):
            model = build_classifier(settings, 3)
        assert strides(settings) == (model.token_stride, model.stride)


def test_class_maps_that_are_the_tokens_are_counted_once() -> None:
    views = {"scales": [1.0], "mirror": False, "attention_steps": 0}
    timm = {"kind": "timm", "model": "vit_tiny_patch16_224", "arguments": {}}
    conformer = CONFIG["classifiers"]["conformer_small"]["network"]
    maps = [
        cam_bytes((64, 96), 1, network, views)
        for network in (timm, conformer, {**conformer, "token_head": "patches"})
    ]
    assert maps[0] == maps[1] == maps[2] / 2


@pytest.mark.parametrize(
    ("model", "patch", "stride"),
    [
        ("vit_tiny_patch16_224", 8, 8),
        ("vit_tiny_r_s16_p8_224", None, 32),
        ("vit_tiny_r_s16_p8_224", 2, 8),
        ("vit_small_r26_s32_224.augreg_in21k", None, 32),
        ("vit_base_r50_s16_224", None, 16),
    ],
)
def test_a_patch_size_of_its_own_and_convolutions_before_count(
    model: str, patch: int | None, stride: int
) -> None:
    settings = {"kind": "timm", "model": model, "arguments": {"patch_size": patch} if patch else {}}
    assert strides(settings) == (stride, stride)


@pytest.mark.parametrize("size", [(80, 80), (375, 500), (1024, 2048)])
def test_a_label_map_is_not_larger_than_estimated(tmp_path: Path, size: tuple[int, int]) -> None:
    height, width = np.indices(size)
    labels = ((height // 40 + width // 40) % 4 + (np.hypot(height - 40, width - 40) < 30)).astype(np.uint8)
    write_mask(tmp_path / "a.png", labels)
    assert 0 < (tmp_path / "a.png").stat().st_size <= label_bytes(size)


@pytest.mark.parametrize(("neighbours", "gigabytes"), [(64, 30.7), (100, 48)])
def test_voc_s_attention_is_the_gigabytes_of_its_neighbours(neighbours: int, gigabytes: float) -> None:
    classifier = CONFIG["classifiers"]["conformer_small"]
    assert classifier["views"]["cached_neighbours"] == 64
    views = {**classifier["views"], "cached_neighbours": neighbours}
    an_image = attention_bytes((375, 500), classifier["network"], views)
    assert 10582 * an_image == pytest.approx(gigabytes * 1e9, rel=0.02)


def test_what_is_there_is_not_counted_again(tmp_path: Path) -> None:
    estimate = Estimate(CONFIG, "voc", VOC)
    before = estimate.main(tmp_path)
    attention = tmp_path / "voc/run1/conformer_small/attention"
    attention.mkdir(parents=True)
    for shard in range(24):  # half of them
        (attention / f"{shard:03d}of048.safetensors").touch()
    (attention / "000of012.safetensors").touch()  # of another cut
    after = estimate.main(tmp_path)
    assert before - after == pytest.approx(1.05 * 30.7e9 / 2, rel=0.02)
    assert before < estimate.everything(tmp_path)


def test_runs_multiply_and_shared_folders_count_once(tmp_path: Path) -> None:
    voc = {**CONFIG["datasets"]["voc"], "single_stage": None, "compare": None}
    chain = {key: value for key, value in voc["main"].items() if key != "inference"}
    again = {"systems": [{"name": "again", **chain}], "sensitivity": [], "images": 1}

    def need(**more: Any) -> float:
        config = {**CONFIG, "datasets": {"voc": {**voc, **more}}}
        return Estimate(config, "voc", VOC).everything(tmp_path)

    one, two, three = (need(runs=[*range(count)]) for count in (1, 2, 3))
    assert three - two == pytest.approx(two - one) and two > one  # what a job holds counts once
    assert need(compare=again) == need()


@pytest.mark.parametrize(
    ("free", "status"), [(2e12, OK), (200e9, WARNING), (20e9, ERROR)], ids=["room", "main", "none"]
)
def test_room_is_compared_with_the_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: float, status: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=free))
    verdict = check_disk(CONFIG, {"voc": VOC}, tmp_path / "results")
    assert verdict.status == status, verdict
    assert f"{free / 1e9:.1f} GB free in {tmp_path}" in verdict.found
    assert bool(verdict.fix) == (status != OK)


def test_a_pair_is_as_large_as_both_its_networks() -> None:
    estimate = Estimate(CONFIG, "voc", VOC)
    sizes = [
        estimate._weights(Network("classifiers", name, name)).bytes
        for name in ("resnet50", "resnet50_dinov2")
    ]
    assert sizes == [disk.TIMM_NETWORK, 2 * disk.TIMM_NETWORK]


COCO = Facts({"train": 82081, "masked": 82081, "val": 40137, "test": 0}, [(480, 640)], 2.9)


def kept(name: str, keep: str, **more: Any) -> dict[str, Any]:
    """The configuration with one run of a data set, which keeps this."""
    settings = {**CONFIG["datasets"][name], "keep": keep, "runs": [0], **more}
    return {**CONFIG, "datasets": {name: settings}}


@pytest.mark.parametrize(("name", "facts", "most"), [("voc", VOC, 12e9), ("coco", COCO, 60e9)])
def test_a_main_chain_that_keeps_maps_fits_an_ordinary_disk(
    tmp_path: Path, name: str, facts: Facts, most: float
) -> None:
    """With APC beside it, and a shard's views while they are needed."""
    maps, attention = (
        Estimate(kept(name, keep), name, facts).main(tmp_path) for keep in ("maps", "attention")
    )
    assert maps < most < attention


def test_views_count_for_the_shard_at_hand_alone(tmp_path: Path) -> None:
    small, large = (
        Estimate(kept("coco", "maps", shards=shards), "coco", COCO).main(tmp_path) for shards in (960, 96)
    )
    classifier = CONFIG["classifiers"]["conformer_small"]
    network, views = classifier["network"], classifier["views"]
    image = attention_bytes((480, 640), network, views) + cam_bytes((480, 640), 2.9, network, views)
    held = 82081 * (2 * image + map_bytes((480, 640), 2.9)) / 96
    assert large - small == pytest.approx(held - disk.CHECKPOINTS * disk.TIMM_NETWORK)


def test_the_doctor_says_what_either_way_takes(tmp_path: Path) -> None:
    found = check_disk(kept("coco", "maps"), {"coco": COCO}, tmp_path / "results").found
    assert "(keep: maps holds 8.8 GB" in found and "with keep: attention 48" in found
    assert "each method is a pass of its classifier over train, 1 in the main chain, 17 in all" in found
    found = check_disk(kept("voc", "attention"), {"voc": VOC}, tmp_path / "results").found
    assert ", with keep: maps 6.2 GB" in found and "pass" not in found
    few = VOC._replace(images={**VOC.images, "train": 5000})
    assert "keep" not in check_disk(kept("voc", "attention"), {"voc": few}, tmp_path / "results").found


def test_a_pass_has_the_minutes_of_finished_shards(tmp_path: Path) -> None:
    folder = tmp_path / "results/benchmarks/make_maps/coco/run0/conformer_small/adcam"
    folder.mkdir(parents=True)
    for shard, seconds in (("000of096", 60.0), ("001of096", 120.0)):
        (folder / f"{shard}.tsv").write_text(f"s\th:m:s\tmax_rss\n{seconds}\t0:01:00\t500\n")
    found = check_disk(kept("coco", "maps"), {"coco": COCO}, tmp_path / "results").found
    assert "144 minutes each by results/benchmarks/make_maps" in found
