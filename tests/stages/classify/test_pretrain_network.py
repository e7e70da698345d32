"""Pretraining: scenes painted when asked for, what is learned from them, and what is shipped."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from timm.models.vision_transformer import VisionTransformer
from torch.nn import functional as F

from tests.support.networks import build_classifier, build_irnet, load_initial
from tests.support.trainings import CLASSIFIER_TRAINING, COLOURS, IRN, NANO, RANDOM, THIN, outputs
from wsss.artefacts.formats import read_tensors
from wsss.data.generated import PRETRAIN_LABELS, pretrain_labels
from wsss.data.sampler import Sample
from wsss.models.conformer_units import Attention
from wsss.models.outputs import ClassifierOutput
from wsss.stages.classify import pretrain_network
from wsss.stages.classify.pretrain_network import PaintedScenes, attend_alike, place_tokens, shared_losses

PRETRAINING = {**CLASSIFIER_TRAINING, "epochs": 1, "batch": 10}
PAINTED = {"count": 20, "seed": 3, "side": [32, 40]}


VIT = {
    "kind": "timm",
    "model": "vit_tiny_patch16_224",
    "arguments": {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2},
    **COLOURS,
}


@pytest.mark.parametrize(
    "network", [NANO, {"backbone": THIN, **COLOURS}, VIT], ids=["conformer", "backbone", "vit"]
)
def test_pretrained_weights_are_small_and_load(
    tmp_path: Path, network: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrain_network, "HELD_OUT", 4)
    settings = {"network": network, "training": PRETRAINING, "images": PAINTED}
    pretrain_network.run(**outputs(tmp_path / "out"), settings=settings)
    path = tmp_path / "out" / "weights.safetensors"
    state = read_tensors(path, "weights")
    assert {value.dtype for value in state.values()} <= {torch.float16, torch.int64}
    target = build_irnet(IRN).backbone if "backbone" in network else build_classifier(network, 2)
    before = {name: value.clone() for name, value in target.state_dict().items()}
    load_initial(target, {**RANDOM, "file": str(path)})
    changed = [name for name, value in target.state_dict().items() if not torch.equal(value, before[name])]
    assert len(changed) > len(before) / 2


def test_a_pretrained_vision_transformer_loads_into_timms_own_to_the_last_tensor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrain_network, "HELD_OUT", 4)
    settings = {"network": VIT, "training": PRETRAINING, "images": PAINTED}
    pretrain_network.run(**outputs(tmp_path / "out"), settings=settings)
    path = tmp_path / "out" / "weights.safetensors"
    state = read_tensors(path, "weights")
    encoder = timm.create_model(VIT["model"], num_classes=0, dynamic_img_size=True, **VIT["arguments"])
    assert set(state) == set(encoder.state_dict())
    classifier = build_classifier(VIT, 2)
    for target, loaded in ((encoder, encoder), (classifier, classifier.backbone)):
        load_initial(target, {**RANDOM, "file": str(path)})
        assert all(torch.equal(value, state[name].float()) for name, value in loaded.state_dict().items())


def test_the_log_tells_accuracy_and_attention(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pretrain_network, "HELD_OUT", 4)
    with caplog.at_level(logging.INFO):
        settings = {"network": NANO, "training": PRETRAINING, "images": PAINTED}
        pretrain_network.run(**outputs(tmp_path / "out"), settings=settings)
    assert "of 4 held-out images" in caplog.text
    assert "attention on objects: OnObject(kept=" in caplog.text


@pytest.fixture
def painted() -> PaintedScenes:
    return PaintedScenes(10**9, (32, 40), crop=32, rescale=(32, 48), seed=5, **COLOURS)


def test_a_scene_is_painted_when_it_is_asked_for(painted: PaintedScenes) -> None:
    """A billion images take no memory, and each is the same whenever it is asked for."""
    assert len(painted) == 10**9
    far = Sample(3, 987_654_321)
    first, again = painted[far], painted[far]
    assert torch.equal(first["images"], again["images"])
    assert first["images"].shape == (3, 32, 32)
    assert first["tags"].shape == (PRETRAIN_LABELS,)
    scene = painted.scene(987_654_321)
    assert first["tags"].nonzero().flatten().tolist() == list(pretrain_labels(scene.classes))
    other = painted[Sample(4, 987_654_321)]  # another view of the same scene
    assert not torch.equal(first["images"], other["images"])
    assert torch.equal(first["tags"], other["tags"])


def test_the_losses_by_hand() -> None:
    maps = torch.tensor([[[[0.0, 1.0]], [[2.0, 0.0]], [[0.0, 0.0]]]])  # three classes, two cells
    logits = torch.tensor([[1.0, 0.0, 0.0]])
    output = ClassifierOutput(torch.zeros(1, 3), logits, maps, None)
    batch = {"images": torch.zeros(1, 3, 4, 4), "tags": torch.tensor([[1.0, 1.0, 0.0]])}
    losses = shared_losses(lambda images, attention: output, batch)  # type: ignore[arg-type]
    e = np.e
    pooled = np.log([1 + e, 1 + e**2, 2])
    shares = np.array([0.5, 0.5, 0])
    assert losses["cnn_loss"].item() == pytest.approx(np.log(np.exp(pooled).sum()) - shares @ pooled)
    assert losses["vit_loss"].item() == pytest.approx(np.log(e + 2) - 0.5)


@pytest.mark.parametrize("network", [NANO, VIT], ids=["conformer", "vit"])
def test_attention_is_among_tokens_that_are_alike(network: dict[str, Any]) -> None:
    torch.manual_seed(0)
    classifier = build_classifier(network, 3)
    attend_alike(classifier)
    found = [module for module in classifier.modules() if hasattr(module, "qkv")]
    assert len(found) > 1
    for module in found:
        heads = module.heads if isinstance(module, Attention) else module.num_heads
        tokens = F.layer_norm(torch.randn(64, module.qkv.in_features), (module.qkv.in_features,))
        split = F.linear(tokens, module.qkv.weight).unflatten(1, (3, heads, -1))
        query, key = split[:, 0].transpose(0, 1), split[:, 1].transpose(0, 1)  # (heads, tokens, d)
        logits = query @ key.transpose(1, 2) * query.shape[-1] ** -0.5
        torch.testing.assert_close(logits, logits.transpose(1, 2))
        own = logits.diagonal(dim1=1, dim2=2).mean().item()
        assert own == pytest.approx(pretrain_network.ALIKE, rel=0.25)
        assert own > 4 * logits.mean().abs().item()


@pytest.mark.parametrize("network", [NANO, VIT], ids=["conformer", "vit"])
def test_queries_and_keys_stay_and_values_learn(network: dict[str, Any]) -> None:
    torch.manual_seed(0)
    classifier = build_classifier(network, 3)
    attend_alike(classifier)
    tags = {"images": torch.randn(2, 3, 32, 32), "tags": torch.eye(3)[:2]}
    sum(shared_losses(classifier, tags).values()).backward()
    for module in classifier.modules():
        if hasattr(module, "qkv"):
            for gradient in (module.qkv.weight.grad, module.qkv.bias.grad):
                assert gradient is not None
                queries, keys, values = gradient.chunk(3)
                assert not queries.any()
                assert not keys.any()
                assert values.any()


def test_tokens_that_are_near_start_alike() -> None:
    classifier = build_classifier(VIT, 3)
    place_tokens(classifier)
    (transformer,) = [module for module in classifier.modules() if isinstance(module, VisionTransformer)]
    placed = transformer.pos_embed[0, transformer.num_prefix_tokens :].detach()  # (N, D), row after row
    torch.testing.assert_close(placed.norm(dim=1), torch.full((len(placed),), placed.norm(dim=1)[0].item()))
    assert placed.square().mean().sqrt().item() == pytest.approx(pretrain_network.PLACED, rel=1e-5)
    rows, columns = transformer.patch_embed.grid_size
    alike = F.cosine_similarity(placed[:1], placed, dim=1).view(rows, columns)
    for line in (alike[0], alike[:, 0], alike.diagonal()):
        assert (line.diff() < 0).all()  # less and less, away from the corner


def test_a_conformer_has_no_positions_to_start() -> None:
    classifier = build_classifier(NANO, 3)
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    place_tokens(classifier)
    assert all(torch.equal(value, before[name]) for name, value in classifier.state_dict().items())
