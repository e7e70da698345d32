"""ToCo as a single-stage method."""

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from tests.support.settings import CONFIG
from tests.support.toco_training import NETWORK, TRAINING
from wsss.methods.certain_labels import certain_labels
from wsss.methods.token_contrast import token_contrast
from wsss.models.toco import ToCo
from wsss.single_stage import toco
from wsss.single_stage.toco_training import TokenContrast

ASKED = toco.Training(**TRAINING)
TAGS = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
TERMS = ["cls_loss", "aux_loss", "ptc_loss", "ctc_loss", "seg_loss", "energy_loss"]


def made() -> ToCo:
    torch.manual_seed(0)
    return toco.build(toco.Network(**NETWORK), 3)


def recipe(network: ToCo, **changes: Any) -> TokenContrast:
    return toco.recipe(network, ASKED.model_copy(update=changes), lambda epochs: epochs)


def drawn() -> dict[str, Tensor]:
    """A batch of four images' views."""
    rng = np.random.default_rng(0)
    seen = [toco.views(ASKED, rng.integers(0, 256, (32, 32, 3), np.uint8), rng) for _ in TAGS]
    parts = {name: [torch.as_tensor(view[name]) for view in seen] for name in seen[0]}
    batch = {name: torch.stack(views) for name, views in parts.items()}
    pictures = {name: batch[name].permute(0, 3, 1, 2) / 128 - 1 for name in ("images", "first", "second")}
    return {**batch, **pictures, "tags": TAGS}


def test_views_are_drawn_by_the_chance_that_is_handed_in() -> None:
    square = np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)
    one, two, other = (toco.views(ASKED, square, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert {name: tuple(view.shape) for name, view in one.items()} == {
        "images": (32, 32, 3),
        "first": (16, 16, 3),
        "second": (16, 16, 3),
        "chance": (25, 25),
    }
    for name in one:
        assert np.array_equal(np.asarray(one[name]), np.asarray(two[name]))
        assert name == "images" or not np.array_equal(np.asarray(one[name]), np.asarray(other[name]))
    assert any(np.array_equal(one["images"], seen) for seen in (square, square[:, ::-1]))


def test_every_term_teaches() -> None:
    network = made()
    training = recipe(network)
    training.begin(2)
    losses = training.losses(network, drawn())
    assert list(losses) == TERMS and list(training.weights) == TERMS[2:]
    taught = {
        "cls_loss": network.classifier.weight,
        "aux_loss": network.auxiliary_classifier.weight,
        "ptc_loss": network.encoder.blocks[1].mlp.fc1.weight,
        "ctc_loss": network.projection.directions,
        "seg_loss": network.decoder[-1].weight,
        "energy_loss": network.decoder[-1].weight,
    }
    for name, parameter in taught.items():
        network.zero_grad()
        losses[name].backward(retain_graph=True)
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any(), name
        assert network.teacher.directions.grad is None


def test_tokens_are_contrasted_by_the_auxiliary_maps_of_the_image_s_classes() -> None:
    network, batch = made(), drawn()
    network.eval()
    losses = recipe(network).losses(network, batch)
    maps = network.merged_maps(batch["images"])[1] * TAGS[:, :, None, None]
    labels = certain_labels(maps, 0.6, 0.4).flatten(1)
    tokens = network(batch["images"]).tokens
    torch.testing.assert_close(losses["ptc_loss"], 0.2 * token_contrast(tokens, labels))
    assert not labels[2].any()  # no class: background everywhere


def test_terms_of_no_weight_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    network = made()
    without = {
        part: getattr(ASKED, part).model_copy(update={"weight": 0.0})
        for part in ("crop_contrast", "segmentation", "energy")
    }
    alone = recipe(network, **without)
    monkeypatch.setattr(alone, "parts", None)  # not even asked
    alone.begin(2)
    losses = alone.losses(network, drawn())
    assert [losses[name].item() for name in TERMS[3:]] == [0, 0, 0]


def test_the_decoder_joins_and_the_teacher_follows_once_a_step() -> None:
    network = made()
    training = recipe(network)
    with torch.no_grad():
        network.projection.directions.add_(1.0)
    before, target = network.teacher.directions.clone(), network.projection.directions.clone()
    training.begin(0)
    assert torch.equal(network.teacher.directions, before) and not training.decoding
    for _ in range(2):  # two passes of one step
        training.begin(1)
    torch.testing.assert_close(network.teacher.directions, 0.9 * before + 0.1 * target)
    training.begin(2)
    assert training.decoding


def test_rates_rise_in_equal_steps() -> None:
    groups = recipe(made(), warm_up=0.8, epochs=5).groups()
    assert [(group["name"], group["lr"]) for group in groups] == [("encoder", 2.5e-4), ("heads", 2.5e-3)]
    assert groups[0]["changes"] == [(1, 5e-4), (2, pytest.approx(7.5e-4)), (3, 1e-3)]
    constant = recipe(made(), warm_up=0.0).groups()[0]
    assert (constant["lr"], constant["changes"]) == (1e-3, [])


def test_gradients_reach_the_parts_under_mixed_precision() -> None:
    network = made()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = recipe(network).losses(network, drawn())["ctc_loss"]
    loss.backward()
    gradients = [parameter.grad for parameter in network.encoder.blocks.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


def test_class_maps_are_of_probabilities() -> None:
    network, images = made().eval(), torch.randn(2, 3, 32, 32)
    scores = toco.scores(network, images, toco.MAPS)
    assert scores.shape == (2, 4, 4, 4) and scores.min() >= 0 and scores.max() <= 1
    likely = network.merged_maps(images)[0] * network(images).logits.sigmoid()[:, :, None, None]
    torch.testing.assert_close(scores[:, 1:], likely)
    torch.testing.assert_close(scores[:, 0], 1 - likely.amax(1))
    for source in toco.SOURCES:
        shares = toco.probabilities(toco.scores(network, images, source), source)
        torch.testing.assert_close(shares.sum(1), torch.ones(2, 4, 4))


def test_its_trainings_are_told_apart() -> None:
    told = {"pooling": "max", "epochs": 4, "token_contrast": 0.2, "crop_contrast": 0.5}
    assert toco.told(TRAINING) == told


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decoder_start": 1.0}, "less than all iterations, 1, found 1"),
        ({"low": 0.8}, r"at most high, 0\.7, found 0\.8"),
        ({"crop_contrast": {"side": 447}}, "8 places of a part in the side 448, found 447"),
        ({"crop_contrast": {"side": 512}}, "8 places of a part in the side 448, found 512"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    training = CONFIG["single_stage"]["toco"]["training"]
    changed = {
        key: {**training[key], **new} if isinstance(new, dict) else new for key, new in changes.items()
    }
    with pytest.raises(ValidationError, match=message):
        toco.Training.model_validate({**training, **changed})


def test_sides_must_be_whole_patches_and_a_decoder_that_is_read_must_learn() -> None:
    variant = CONFIG["single_stage"]["toco"]
    ways = {"mine": {"side": 448, "source": "decoder"}}
    assert toco.check("here", "mine", variant, ways) == []
    parts = {**variant["training"]["crop_contrast"], "whole": 100}
    training = {**variant["training"], "crop_contrast": parts, "segmentation": {"weight": 0.0}}
    assert toco.check("here", "mine", {**variant, "training": training}, ways) == [
        "here: expected a multiple of the 16 pixels of a patch of 'mine', found "
        "single_stage.mine.training.crop_contrast.whole 100",
        "here: expected segmentation.weight above 0, for mine read the decoder, found 0 in 'mine'",
    ]
