"""ViT-PCM as a single-stage method."""

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from tests.support.settings import CONFIG
from tests.support.vit_pcm_training import NETWORK, TRAINING
from wsss.methods.equivariance import cut, sharpened, soft_cross_entropy, turned, turned_back
from wsss.models.apc import APC
from wsss.single_stage import vit_pcm
from wsss.single_stage.patches import on_grid
from wsss.single_stage.vit_pcm_training import Equivariant, without_dropout

ASKED = vit_pcm.Training(**TRAINING)
TAGS = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


def recipe(network: APC, **changes: Any) -> Equivariant:
    return vit_pcm.recipe(network, ASKED.model_copy(update=changes), lambda epochs: epochs)


def made() -> APC:
    torch.manual_seed(0)
    return vit_pcm.build(vit_pcm.Network(**NETWORK), 3)


def drawn() -> dict[str, Tensor]:
    """A batch of four images' views."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (4, 32, 32, 3), np.uint8)
    views = [vit_pcm.views(ASKED, picture, rng) for picture in pictures]
    seen = [
        {
            name: part if isinstance(part, Tensor) else torch.from_numpy(part).permute(2, 0, 1) / 128 - 1
            for name, part in view.items()
        }
        for view in views
    ]
    return {name: torch.stack([view[name] for view in seen]) for name in seen[0]} | {"tags": TAGS}


def test_the_network_is_apc_s_without_a_decoder() -> None:
    network = made()
    assert not [name for name in network.state_dict() if name.startswith("decoder")]
    output = network(torch.zeros(1, 3, 32, 32))
    assert output.pixel_logits is None and output.scores.shape == (1, 16, 4)
    assert sum(map(len, network.parameter_groups().values())) == len(list(network.parameters()))


def test_class_maps_are_of_probabilities() -> None:
    assert vit_pcm.MAPS in vit_pcm.SOURCES
    scores = vit_pcm.scores(made().eval(), torch.zeros(1, 3, 32, 32), vit_pcm.MAPS)
    torch.testing.assert_close(scores.sum(1), torch.ones(1, 4, 4))
    assert vit_pcm.probabilities(scores, vit_pcm.MAPS) is scores


def test_the_second_view_is_taught_by_the_first_one_without_dropout() -> None:
    """By hand: four views of 16 pixels in one picture of 32, image after image."""
    network, batch = made(), drawn()
    training = recipe(network)
    network.eval()  # the second view's own dropout would hide what is compared
    found = training.equivariance(network, batch)
    rows = [torch.cat([batch["second"][i], batch["second"][i + 1]], 2) for i in (0, 2)]
    output = network(torch.cat(rows, 1)[None], decode=False)
    whole = on_grid(output.scores, output.grid)[0]
    predicted = torch.stack([whole[:, :2, :2], whole[:, :2, 2:], whole[:, 2:, :2], whole[:, 2:, 2:]])
    first = network(batch["images"], decode=False)
    seen = turned_back(on_grid(first.scores, first.grid), batch["turns"])
    target = sharpened(turned(cut(seen, batch["boxes"], 2), batch["second_turns"]), TAGS)
    torch.testing.assert_close(found, soft_cross_entropy(predicted, target))


def test_the_target_has_no_dropout_and_no_gradient_and_training_goes_on() -> None:
    network = made()
    images = drawn()["images"]
    with without_dropout(network):
        first, second = (network(images, decode=False).scores for _ in range(2))
    assert torch.equal(first, second) and not first.requires_grad
    assert network.training and not torch.equal(*(network(images, decode=False).scores for _ in range(2)))


def test_both_terms_teach_and_one_of_no_weight_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    network = made()
    training = recipe(network, freeze=False)
    losses = training.losses(network, drawn())
    assert list(losses) == ["mce_loss", "eq_loss"] and training.weights == {"eq_loss": 1.0}
    for name in losses:
        network.zero_grad()
        losses[name].backward()
        gradient = network.patch_classifier.weight.grad
        assert gradient is not None and gradient.isfinite().all() and gradient.any()
    alone = recipe(network, equivariance=0.0)
    monkeypatch.setattr(alone, "equivariance", None)  # not even asked
    assert alone.losses(network, drawn())["eq_loss"].item() == 0


def test_gradients_reach_the_second_view_under_mixed_precision() -> None:
    network = made()
    training = recipe(network, freeze=False, learns="all")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = training.losses(network, drawn())["eq_loss"]
    assert loss.dtype == torch.float32
    loss.backward()
    gradients = [parameter.grad for parameter in network.encoder.blocks.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


def test_its_trainings_are_told_apart() -> None:
    assert vit_pcm.told(TRAINING) == {"pooling": "max", "epochs": 3, "equivariance": 1.0}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"warm_up": 80}, "expected fewer than all 80 epochs, found 80"),
        ({"second": {"side": 160, "crop": 128, "probability": 0.3}}, "a part of the side 384, found 160"),
        ({"second": {"side": 192, "crop": 400, "probability": 0.3}}, "at most the side 384, found 400"),
        ({"batch": 18}, "a multiple of the 4 views that a picture holds, found 18"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    training = CONFIG["single_stage"]["vit_pcm"]["training"]
    with pytest.raises(ValidationError, match=message):
        vit_pcm.Training.model_validate({**training, **changes})


def test_the_second_view_must_be_whole_patches() -> None:
    variant = CONFIG["single_stage"]["vit_pcm"]
    assert vit_pcm.check("here", "mine", variant, {}) == []
    training = {**variant["training"], "second": {**variant["training"]["second"], "side": 24}}
    assert vit_pcm.check("here", "mine", {**variant, "training": training}, {}) == [
        "here: expected a multiple of the 16 pixels of a patch of 'mine', found "
        "single_stage.mine.training.second.side 24"
    ]
    with pytest.raises(ValueError, match=r"second\.side: expected a multiple of .* 8 pixels, found 4"):
        recipe(made(), second=ASKED.second.model_copy(update={"side": 4}))


def test_more_blocks_than_there_are_are_refused() -> None:
    with pytest.raises(ValueError, match="learns: expected at most the encoder's 2 blocks, found 5"):
        recipe(made(), learns=5)
