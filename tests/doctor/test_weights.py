"""Files of initial weights, in ``wsss doctor`` and while Snakemake plans."""

import copy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.support.planning import snakemake
from tests.support.settings import CONFIG
from wsss.artefacts.files import digest
from wsss.doctor.verdict import ERROR, OK, WARNING, Verdict
from wsss.doctor.weights import check_weights
from wsss.pretrained.files import fault, in_hub_cache
from wsss.pretrained.fit import remember
from wsss.workflow.plan import ConfigError, Plan

SMALL = "weights/Conformer_small_patch16.pth"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a whole file of the classifier, and an empty cache of timm's."""
    monkeypatch.chdir(tmp_path)
    for name in ("HF_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub_home"))
    (tmp_path / "weights").mkdir()
    torch.save({"weight": torch.zeros(9)}, SMALL)
    for variant in CONFIG["classifiers"].values():
        remember("classifiers", variant)  # as if it were a Conformer's
    return tmp_path


@pytest.fixture
def config() -> dict[str, Any]:
    return copy.deepcopy(CONFIG)


def cache(place: Path, name: str) -> None:
    folder = place / "hub_home" / "hub" / f"models--timm--{name}" / "snapshots" / "0123"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").touch()


def verdicts(config: dict[str, Any], *datasets: str) -> dict[str, Verdict]:
    found = check_weights(config, datasets)
    return {verdict.subject.removeprefix("weights: "): verdict for verdict in found}


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda content: content, None),
        (lambda content: content[:-1], "the file was cut"),
        (lambda content: content[:20], ""),
        (lambda content: b"", ""),
        (lambda content: b"<html>Not Found</html>", ""),
    ],
    ids=["whole", "a byte less", "cut in the header", "empty", "a web page"],
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_files_that_were_cut_are_found_without_reading_them(
    tmp_path: Path, suffix: str, damage: Any, found: str | None
) -> None:
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save({"weight": torch.zeros(100)}, path)
    else:
        save_file({"weight": torch.zeros(100)}, path)
    path.write_bytes(damage(path.read_bytes()))
    wrong = fault(path, None)
    assert (wrong is None) == (found is None)
    assert found is None or (found in str(wrong) and "fetch it again" in str(wrong))


def test_torch_s_old_format_is_let_through(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(9)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert fault(tmp_path / "old.pth", None) is None


def test_a_changed_file_has_another_digest(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"weight": torch.zeros(9)}, path)
    before = digest(path)
    assert fault(path, before.upper()) is None
    save_file({"weight": torch.ones(8)}, path)
    assert str(fault(path, before)).startswith(f"expected sha256 {before}, found {digest(path)}; ")


def test_weights_of_the_main_chain_must_be_there(place: Path, config: dict[str, Any]) -> None:
    found = verdicts(config, "voc")
    assert found[SMALL].status == OK and digest(SMALL) in found[SMALL].found
    assert "for conformer_small, " in found[SMALL].found
    (place / SMALL).unlink()
    found = verdicts(config, "voc")
    assert found[SMALL].status == ERROR and "project Conformer" in found[SMALL].fix


def test_what_only_a_comparison_needs_may_be_missing(place: Path, config: dict[str, Any]) -> None:
    config["classifiers"]["conformer_small_coupled"]["initial"] = {"file": "weights/b.pth", "sha256": None}
    assert verdicts(config, "voc")["weights/b.pth"].status == WARNING


def test_the_sample_s_weights_have_their_digests(config: dict[str, Any]) -> None:
    found = verdicts(config, "sample")
    assert len(found) == 3
    assert all(verdict.status == OK and "as in the config" in verdict.found for verdict in found.values())
    initial = config["classifiers"]["conformer_nano"]["initial"]
    config["classifiers"]["conformer_nano"]["initial"] = {**initial, "sha256": "0" * 64}
    (wrong,) = [verdict for verdict in check_weights(config, ["sample"]) if verdict.status != OK]
    assert wrong.status == ERROR and f"expected sha256 {'0' * 64}, found {initial['sha256']}" in wrong.found


def test_timm_s_weights_are_looked_for_in_its_cache(
    place: Path, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "resnet50.tv_in1k"
    first = verdicts(config, "voc")[name]
    assert first.status == WARNING and f"create_model('{name}', pretrained=True)" in first.fix
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert verdicts(config, "voc")[name].status == ERROR
    cache(place, name)
    assert verdicts(config, "voc")[name].status == OK
    assert in_hub_cache("resnet50") and not in_hub_cache("resnet5") and not in_hub_cache("resnet101.tv_in1k")


def test_both_files_of_a_pair_are_looked_for(place: Path, config: dict[str, Any]) -> None:
    seen = {"supervision": "photographs", "pixel_labels": False}
    pair = config["classifiers"]["resnet50_dinov2"]
    pair["initial"] = {
        "cnn": {"file": "weights/cnn.pth", "sha256": None, **seen},
        "vit": {"timm": True, **seen},
    }
    config["datasets"]["voc"]["main"]["classifier"] = "resnet50_dinov2"
    found = verdicts(config, "voc")
    assert found["weights/cnn.pth"].status == ERROR
    assert "for resnet50_dinov2" in found["weights/cnn.pth"].found
    assert found["vit_small_patch14_reg4_dinov2.lvd142m"].status == WARNING  # to be fetched


def test_planning_refuses_what_training_would(
    place: Path, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = {"dataset": "voc", "run": "0", "method": "cam"}
    chain = SimpleNamespace(**run, classifier="conformer_small", refiner="irn")
    config["classifiers"]["conformer_small"]["initial"]["sha256"] = digest(SMALL)
    plan = Plan(config)
    assert plan.classifier_file(chain) == [SMALL]
    (place / SMALL).touch()
    remember("classifiers", config["classifiers"]["conformer_small"])
    assert plan.classifier_file(chain) == [SMALL]
    (place / SMALL).write_bytes((place / SMALL).read_bytes()[:-30])
    with pytest.raises(ConfigError, match=rf"{SMALL}: expected sha256 .*; fetch it again"):
        plan.classifier_file(chain)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ConfigError, match=r"resnet50\.tv_in1k: expected timm's weights in the cache"):
        plan.irn_file(chain)
    cache(place, "resnet50.tv_in1k")
    assert plan.irn_file(chain) == []


def test_weights_of_the_last_stage_stop_a_run_before_its_first(place: Path) -> None:
    (place / "weights" / "last.pth").write_bytes(b"PK: half a file")
    initial = "{timm: false, file: weights/last.pth, sha256: null}"
    cut = "datasets: {voc: {shards: 1, val_shards: 1}}"
    (place / "mine.yaml").write_text(f"{cut}\nsegmenters: {{deeplabv2: {{initial: {initial}}}}}\n")
    arguments = ("-n", "--directory", place, "--configfile", place / "mine.yaml", "--")
    result = snakemake(*arguments, "results/voc/run0/conformer_small/cam/none/deeplabv2/seg_miou.json")
    assert result.returncode != 0
    assert "rule train_segmenter" in result.stdout
    assert (
        "weights/last.pth: expected weights as safetensors or plain tensors, found an archive"
        in result.stdout
    )


def test_weights_of_another_network_stop_a_run_before_its_first_stage(
    place: Path, quoted: Callable[[str], None]
) -> None:
    save_file({"conv1.weight": torch.zeros(64, 3, 7, 7)}, place / "weights" / "other.safetensors")
    initial = "{timm: false, file: weights/other.safetensors, sha256: null}"
    cut = "datasets: {voc: {shards: 1, val_shards: 1}}"
    (place / "mine.yaml").write_text(f"{cut}\nsegmenters: {{deeplabv2: {{initial: {initial}}}}}\n")
    arguments = ("-n", "--directory", place, "--configfile", place / "mine.yaml", "--")
    result = snakemake(*arguments, "results/voc/run0/conformer_small/cam/none/deeplabv2/seg_miou.json")
    assert result.returncode != 0 and "rule train_segmenter" in result.stdout
    assert "weights/other.safetensors: the weights do not fit ResNet: missing bn1.weight, " in result.stdout
    quoted(result.stdout)


def test_the_doctor_names_weights_of_another_network(place: Path, config: dict[str, Any]) -> None:
    save_file({"conv1.weight": torch.zeros(64, 3, 7, 7)}, "weights/other.safetensors")
    initial = config["segmenters"]["deeplabv2"]["initial"]
    initial |= {"timm": False, "file": "weights/other.safetensors", "sha256": None}
    wrong = verdicts(config, "voc")["weights/other.safetensors"]
    assert wrong.status == ERROR and "the weights do not fit ResNet: missing bn1.weight, " in wrong.found
    assert "segmenters.deeplabv2.network" in wrong.fix
