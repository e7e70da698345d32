"""Training APC on a handful of small generated images."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.support import toco_training, vit_pcm_training
from tests.support.apc_training import TRAINING
from tests.support.builders import APC, CLASSES, SHARD, Data, make_data
from tests.support.networks import build_apc
from wsss.artefacts.files import digest
from wsss.artefacts.formats import open_tensors, read_label_index, read_table, read_tensors, write_tensors
from wsss.models.apc import APCOutput
from wsss.single_stage import apc, apc_training
from wsss.single_stage.toco_training import TokenContrast
from wsss.stages.single_stage import extract_patch_maps, predict_single_stage_masks, train_single_stage

RANDOM = {"supervision": "none", "pixel_labels": False}
PAMR = {"iterations": 2, "dilations": [1, 2]}


@pytest.fixture
def data(tmp_path: Path) -> Data:
    """Four images of odd sizes, one of which shows no class."""
    return make_data(tmp_path)


def train(
    folder: Path, data: Data, seed: int = 1, initial: Any = RANDOM, network: Any = APC, **changes: Any
) -> Path:
    train_single_stage.run(
        manifest=data.manifest,
        weights=folder / "weights.safetensors",
        history=folder / "history.csv",
        kind="apc",
        network=network,
        initial=initial,
        training={**TRAINING, **changes},
        seed=seed,
    )
    return folder


def trained(folder: Path) -> dict[str, Tensor]:
    return read_tensors(folder / "weights.safetensors", "weights")


def test_a_contrast_that_never_acts_is_said(
    tmp_path: Path, data: Data, caplog: pytest.LogCaptureFixture
) -> None:
    """No patch of a network that has learnt nothing scores above 0.99."""
    train(tmp_path / "out", data, contrast={"high": 0.99, "low": 0.25, "lowest": False})
    assert "pce_loss was 0 in all 5 updates" in caplog.text
    caplog.clear()
    train(tmp_path / "without", data, alpha=0.0, contrast={"high": 0.99, "low": 0.25, "lowest": False})
    assert "pce_loss" not in caplog.text


def test_weights_fit_the_network_and_tell_what_made_them(tmp_path: Path, data: Data) -> None:
    out = train(tmp_path / "out", data)
    build_apc(APC, len(CLASSES)).load_state_dict(trained(out))
    with open_tensors(out / "weights.safetensors", "weights") as shard:
        assert shard.params == {
            "network": apc.Network(**APC).model_dump(),
            "initial": RANDOM,
            "training": apc.Training(**TRAINING).model_dump(),
            "seed": 1,
            "classes": list(CLASSES),
        }
        assert shard.inputs == {"manifest": digest(data.manifest)}
    assert sorted(path.name for path in out.iterdir()) == ["events", "history.csv", "weights.safetensors"]


@pytest.mark.parametrize("pamr", [None, PAMR], ids=["nearest", "pamr"])
def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, data: Data, pamr: Any) -> None:
    settings = {"segmentation": {"balanced": True, "pamr": pamr}}
    first, second = (train(tmp_path / name, data, **settings) for name in "ab")
    for name in ("weights.safetensors", "history.csv"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    other = train(tmp_path / "c", data, seed=2, **settings)
    assert (first / "history.csv").read_bytes() != (other / "history.csv").read_bytes()


def test_history(tmp_path: Path, data: Data) -> None:
    history = read_table(train(tmp_path / "out", data) / "history.csv")
    losses = ["mce_loss", "pce_loss", "seg_loss"]
    rates = ["encoder_lr", "patch_classifier_lr", "head_lr"]
    assert list(history) == ["iteration", "loss", *losses, *rates]
    np.testing.assert_allclose(history["loss"], history[losses].sum(axis=1), rtol=1e-6)
    assert (history["seg_loss"] > 0).tolist() == [False, False, True, True, True]
    assert history["pce_loss"].max() > 0
    assert history["encoder_lr"].tolist() == [0, 0, 1e-3, 1e-3, 1e-3]
    assert (
        history["head_lr"].tolist()
        == history["patch_classifier_lr"].tolist()
        == [1e-2, 1e-2, 1e-3, 1e-3, 1e-3]
    )


def test_the_warm_up_trains_all_but_encoder_and_decoder(tmp_path: Path, data: Data) -> None:
    torch.manual_seed(5)
    start = build_apc(APC, len(CLASSES)).encoder.state_dict()
    write_tensors(tmp_path / "start.safetensors", "weights", start)
    initial = {**RANDOM, "file": str(tmp_path / "start.safetensors"), "sha256": None}
    rest = {"initial": initial, "lr": 1e-30}  # after the warm-up nothing learns
    one = learnt(train(tmp_path / "one", data, epochs=3, warm_up=1, **rest))
    two = learnt(train(tmp_path / "two", data, epochs=3, **rest))
    later = learnt(train(tmp_path / "later", data, initial=initial, epochs=3))
    still = {name for name in one if alike(one[name], two[name])}
    assert {name.split(".")[0] for name in still} == {"encoder", "decoder"}
    assert {name for name in one if name.startswith(("encoder.", "decoder."))} == still
    assert all(alike(one[f"encoder.{name}"], value) for name, value in start.items())
    moved = {name.split(".")[0] for name in later if not alike(later[name], two[name])}
    assert moved == {"encoder", "decoder", "hv_bilstm", "patch_classifier"}


def learnt(folder: Path) -> dict[str, Tensor]:
    """The weights without the statistics that are only counted."""
    return {
        name: value for name, value in trained(folder).items() if "running" not in name and "num_" not in name
    }


def alike(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=0, atol=1e-20)


def start_of(folder: Path) -> dict[str, Any]:
    """Random weights of the encoder in a file, as ``initial``."""
    torch.manual_seed(5)
    write_tensors(folder / "start.safetensors", "weights", build_apc(APC, len(CLASSES)).encoder.state_dict())
    return {**RANDOM, "file": str(folder / "start.safetensors"), "sha256": None}


def test_only_the_last_blocks_and_the_final_norm_learn(tmp_path: Path, data: Data) -> None:
    initial = start_of(tmp_path)
    start = read_tensors(tmp_path / "start.safetensors", "weights")
    weights = trained(train(tmp_path / "out", data, initial=initial, learns=1, freeze=False))
    moved = {name for name, value in start.items() if not torch.equal(weights[f"encoder.{name}"], value)}
    assert {name.partition(".")[0] for name in moved} == {"blocks", "norm"}
    assert moved == {name for name in start if name.startswith(("blocks.1.", "norm."))}
    everything = train(tmp_path / "all", data, learns="all")
    assert (everything / "history.csv").read_bytes() == (
        train(tmp_path / "un", data) / "history.csv"
    ).read_bytes()


@pytest.mark.parametrize("freeze", [True, False])
def test_more_blocks_than_there_are_end_the_training_before_it_starts(
    tmp_path: Path, data: Data, freeze: bool
) -> None:
    with pytest.raises(ValueError, match="learns: expected at most the encoder's 2 blocks, found 3"):
        asked = apc.Training(**{**TRAINING, "learns": 3, "freeze": freeze})
        apc_training.Phases(build_apc(APC, 2), asked, 5, 2)
    with pytest.raises(ValueError, match="learns: expected at most"):
        train(tmp_path / "more", data, learns=3, freeze=freeze)
    assert not list((tmp_path / "more").rglob("*.pth"))


def test_a_new_adam_takes_a_first_step_after_the_warm_up(tmp_path: Path, data: Data) -> None:
    """Its first step has the rate's length whatever the gradient's; the old one's depends on its memory."""
    two = trained(train(tmp_path / "two", data, epochs=3, lr=1e-12))  # the warm-up alone
    lengths = {}
    for new_adam in (True, False):
        three = trained(train(tmp_path / str(new_adam), data, epochs=3, new_adam=new_adam))
        step = (three["patch_classifier.weight"] - two["patch_classifier.weight"]).abs()
        lengths[new_adam] = (step / 1e-3).flatten()  # the rate after the warm-up
    torch.testing.assert_close(lengths[True], torch.ones_like(lengths[True]), rtol=0.01, atol=0)
    assert (lengths[False] < 0.9).any()


PCM = {"learns": 1, "new_adam": True, "patch_decay": 0.02}
PCM_NETWORK = {**APC, "lstm_dropout": 0.2, "classifier_dropout": 0.2, "lstm_initial": "keras"}


class Killed(BaseException):
    """Stands for a kill: nothing in between may catch it."""


# Two passes an iteration: killed in the first, in the warm-up, at its very end, between the two passes after
# it, and later.
@pytest.mark.parametrize("passes", [1, 3, 4, 5, 7])
@pytest.mark.parametrize("changes", [{}, PCM], ids=["plain", "new Adam"])
def test_a_killed_training_resumes_to_the_uninterrupted_bytes(
    tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], passes: int
) -> None:
    network = PCM_NETWORK if changes else APC
    whole = train(tmp_path / "whole", data, network=network, **changes)
    seen: list[bool] = []
    original = apc_training.apc_losses

    def losses(output: APCOutput, *others: Any) -> dict[str, Tensor]:
        if len(seen) == passes:
            raise Killed
        seen.append(output.pixel_logits is not None)
        return original(output, *others)

    monkeypatch.setattr(apc_training, "apc_losses", losses)
    with pytest.raises(Killed):
        train(tmp_path / "killed", data, network=network, **changes)
    before, seen[:] = list(seen), []
    passes = 100
    resumed = train(tmp_path / "killed", data, network=network, **changes)
    assert before[: len(before) // 2 * 2] + seen == [False] * 4 + [True] * 6  # nothing is done again
    for name in ("weights.safetensors", "history.csv"):
        assert (resumed / name).read_bytes() == (whole / name).read_bytes()


def test_without_contrast_and_decoder_their_terms_are_zero(tmp_path: Path, data: Data) -> None:
    out = train(tmp_path / "out", data, alpha=0, beta=0)
    history = read_table(out / "history.csv")
    assert not history[["pce_loss", "seg_loss"]].to_numpy().any()
    fewer = trained(train(tmp_path / "fewer", data, alpha=0, beta=0, epochs=3))
    names = [name for name in fewer if name.startswith("decoder.")]
    assert names and all(torch.equal(fewer[name], trained(out)[name]) for name in names)


def test_without_warm_up_all_parameters_learn_from_the_start(tmp_path: Path, data: Data) -> None:
    history = read_table(train(tmp_path / "out", data, warm_up=0, decoder_start=0, epochs=2) / "history.csv")
    assert (history["seg_loss"] > 0).all()
    assert (history[["encoder_lr", "head_lr"]] == 1e-3).all(axis=None)


def test_the_encoder_may_learn_and_the_decoder_join_at_other_times(tmp_path: Path, data: Data) -> None:
    history = read_table(train(tmp_path / "out", data, freeze=False, decoder_start=1) / "history.csv")
    assert history["encoder_lr"].tolist() == history["head_lr"].tolist() == [1e-2, 1e-2, 1e-3, 1e-3, 1e-3]
    assert (history["seg_loss"] > 0).tolist() == [False, True, True, True, True]


def test_a_side_that_is_no_whole_number_of_patches_is_refused(tmp_path: Path, data: Data) -> None:
    with pytest.raises(ValueError, match="side: expected a multiple of the encoder's patches of 8 pixels"):
        train(tmp_path / "out", data, side=36)


def train_pcm(folder: Path, data: Data, seed: int = 1, initial: Any = RANDOM, **changes: Any) -> Path:
    train_single_stage.run(
        manifest=data.manifest,
        weights=folder / "weights.safetensors",
        history=folder / "history.csv",
        kind="vit_pcm",
        network=vit_pcm_training.NETWORK,
        initial=initial,
        training={**vit_pcm_training.TRAINING, **changes},
        seed=seed,
    )
    return folder


def test_vit_pcm_trains_to_the_same_bytes(tmp_path: Path, data: Data) -> None:
    first, second = (train_pcm(tmp_path / name, data) for name in "ab")
    for name in ("weights.safetensors", "history.csv"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    other = train_pcm(tmp_path / "c", data, seed=2)
    assert (first / "history.csv").read_bytes() != (other / "history.csv").read_bytes()


def test_vit_pcm_warms_up_its_heads_and_then_trains_the_last_blocks(tmp_path: Path, data: Data) -> None:
    initial = start_of(tmp_path)
    start = read_tensors(tmp_path / "start.safetensors", "weights")
    out = train_pcm(tmp_path / "out", data, initial=initial)
    history = read_table(out / "history.csv")
    assert history["encoder_lr"].tolist() == [0, 1e-3, 1e-3]
    assert history["head_lr"].tolist() == [1e-2, 1e-3, 1e-3]
    assert (history[["mce_loss", "eq_loss"]] > 0).all(axis=None)
    moved = {name for name, value in start.items() if not torch.equal(trained(out)[f"encoder.{name}"], value)}
    assert moved == {name for name in start if name.startswith(("blocks.1.", "norm."))}


def train_toco(folder: Path, data: Data, seed: int = 1, **changes: Any) -> Path:
    train_single_stage.run(
        manifest=data.manifest,
        weights=folder / "weights.safetensors",
        history=folder / "history.csv",
        kind="toco",
        network=toco_training.NETWORK,
        initial=RANDOM,
        training={**toco_training.TRAINING, **changes},
        seed=seed,
    )
    return folder


def test_toco_s_rates_rise_and_its_decoder_joins(tmp_path: Path, data: Data) -> None:
    history = read_table(train_toco(tmp_path / "out", data) / "history.csv")
    terms = ["cls_loss", "aux_loss", "ptc_loss", "ctc_loss", "seg_loss", "energy_loss"]
    assert list(history) == ["iteration", "loss", *terms, "encoder_lr", "heads_lr"]
    assert history["encoder_lr"].tolist() == [5e-4, 1e-3, 1e-3, 1e-3]
    np.testing.assert_allclose(history["heads_lr"], 10 * history["encoder_lr"])
    for term in ("seg_loss", "energy_loss"):
        assert (history[term] > 0).tolist() == [False, False, True, True]
    assert (history[terms[:3]] > 0).all(axis=None)


# Two passes an iteration: killed in the first, between iterations, between the passes of one, and later.
@pytest.mark.parametrize("passes", [1, 2, 3, 5])
def test_a_killed_training_of_toco_resumes_to_the_uninterrupted_bytes(
    tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch, passes: int
) -> None:
    halves = {"batch": 2, "accumulate": 2}
    whole = train_toco(tmp_path / "whole", data, **halves)
    teachers = {name: value for name, value in trained(whole).items() if name.startswith("teacher.")}
    for name, value in teachers.items():  # it has followed, and not all of the way
        assert not torch.equal(value, trained(whole)[name.replace("teacher", "projection")])
    done, original = [], TokenContrast.losses

    def losses(self: TokenContrast, *others: Any) -> dict[str, Tensor]:
        if len(done) == passes:
            raise Killed
        done.append(True)
        return original(self, *others)

    monkeypatch.setattr(TokenContrast, "losses", losses)
    with pytest.raises(Killed):
        train_toco(tmp_path / "killed", data, **halves)
    monkeypatch.undo()
    resumed = train_toco(tmp_path / "killed", data, **halves)
    for name in ("weights.safetensors", "history.csv"):
        assert (resumed / name).read_bytes() == (whole / name).read_bytes()


def test_toco_labels_val_and_the_training_images(tmp_path: Path, data: Data) -> None:
    out = train_toco(tmp_path / "out", data)
    made = {
        "manifest": data.manifest,
        "weights": out / "weights.safetensors",
        "kind": "toco",
        "network": toco_training.NETWORK,
        "shard": SHARD,
    }
    extract_patch_maps.run(maps=data.path("maps"), side=32, **made)
    maps = read_tensors(data.path("maps"), "maps")
    for record in data.records:
        found = maps[f"{record.id}/maps"]
        assert len(found) == len(record.classes) and all(plane.max() > 0.98 for plane in found)
    for source in ("decoder", "maps"):
        settings = {"side": 32, "source": source, "tags": source == "maps", "crf": None}
        predict_single_stage_masks.run(
            labels=data.path(source),
            index=data.path(f"{source}.jsonl"),
            split="val",
            settings=settings,
            **made,
        )
        assert len(read_label_index(data.path(f"{source}.jsonl")).ids) == len(data.records)
