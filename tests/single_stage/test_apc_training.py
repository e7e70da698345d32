"""APC's losses and the phases of its training."""

import math

import pytest
import torch
from torch import Tensor

from tests.support.apc_training import TRAINING
from tests.support.builders import APC
from tests.support.networks import build_apc
from wsss.models.apc import APCOutput
from wsss.single_stage import apc, apc_training

PAMR = apc.Pamr(iterations=2, dilations=[1, 2])
TAGS = torch.tensor([[1.0, 0.0], [0.0, 0.0]], dtype=torch.float64)  # the second image shows no class
ASKED = apc.Training(**TRAINING)
SETTINGS = ASKED.model_copy(
    update={
        "pooling": ASKED.pooling.model_copy(update={"kind": "max"}),
        "contrast": apc.Contrast(high=0.5, low=0.2),
    }
)


def made() -> tuple[APCOutput, Tensor]:
    """An output on 2 x 3 patches and images of 4 x 6 pixels, whose patches are 2 pixels wide."""
    generator = torch.Generator().manual_seed(3)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    scores = (2 * random(2, 6, 3)).softmax(-1)
    return APCOutput(random(2, 6, 4), scores, (2, 3), random(2, 3, 4, 6)), random(2, 3, 4, 6)


def test_losses_are_those_of_a_loop() -> None:
    output, images = made()
    found = apc_training.apc_losses(output, images, TAGS.float(), SETTINGS)
    assert found["mce_loss"].item() == pytest.approx(_tag_loss(output))
    assert found["pce_loss"].item() == pytest.approx(0.2 * _contrast(output))
    assert found["seg_loss"].item() == pytest.approx(0.1 * _decoder_loss(output))
    assert min(value.item() for value in found.values()) > 0


def _tag_loss(output: APCOutput) -> float:
    terms = []
    for scores, tags in zip(output.scores.tolist(), TAGS.tolist(), strict=True):
        for column, tag in enumerate([1.0, *tags]):
            highest = max(patch[column] for patch in scores)
            terms.append(-math.log(highest if tag else 1 - highest))
    return sum(terms) / len(terms)


def _contrast(output: APCOutput) -> float:
    """The first image's only class; the second image shows none and does not count."""
    scores, features = output.scores[0, :, 1], output.features[0]
    high, low = [i for i in range(6) if scores[i] > 0.5], [i for i in range(6) if scores[i] < 0.2]
    assert len(high) > 1 and low

    def similarity(one: int, other: int) -> float:
        return (1 + torch.cosine_similarity(features[one], features[other], 0).item()) / 2

    near = [1 - similarity(one, other) for one in high for other in high if one != other]
    far = [similarity(one, other) for one in high for other in low]
    return sum(near) / len(near) + sum(far) / len(far)


def _decoder_loss(output: APCOutput) -> float:
    halves: dict[bool, list[float]] = {False: [], True: []}
    assert output.pixel_logits is not None
    for image, allowed in enumerate([[0, 1], [0]]):
        for row in range(4):
            for column in range(6):
                scores = output.scores[image, row // 2 * 3 + column // 2].tolist()
                label = max(allowed, key=scores.__getitem__)
                logits = output.pixel_logits[image, :, row, column]
                halves[label > 0].append(-logits.log_softmax(0)[label].item())
    assert all(halves.values())
    return sum(sum(half) / len(half) for half in halves.values()) / 2


def test_the_target_has_no_gradient_and_the_decoder_has() -> None:
    output, images = made()
    scores, logits = output.scores.clone().requires_grad_(), torch.zeros(2, 3, 2, 3, requires_grad=True)
    output = output._replace(scores=scores, pixel_logits=logits)
    apc_training.apc_losses(output, images, TAGS.float(), SETTINGS)["seg_loss"].backward()
    assert scores.grad is None
    assert logits.grad is not None and logits.grad.abs().sum() > 0


def test_each_choice_of_the_decoder_s_loss_matters() -> None:
    output, images = made()
    choices = [(balanced, pamr) for balanced in (True, False) for pamr in (None, PAMR)]
    values = {
        apc_training.decoder_loss(
            output, images, TAGS.float(), apc.Segmentation(balanced=balanced, pamr=pamr)
        ).item()
        for balanced, pamr in choices
    }
    assert len(values) == 4


def test_gradients_of_the_tag_loss_are_exact() -> None:
    pooled = torch.tensor([[0.9, 0.2, 0.6], [0.3, 0.7, 0.1]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda value: apc_training.tag_loss(value, TAGS), pooled)


def test_losses_are_single_precision_under_mixed_precision() -> None:
    torch.manual_seed(0)
    phases = apc_training.Phases(build_apc(APC, 2), SETTINGS, 0, 0)
    batch = {"images": torch.randn(2, 3, 32, 32), "tags": TAGS.float()}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert phases.network(batch["images"]).features.dtype == torch.bfloat16  # the network is not
        losses = phases.losses(phases.network, batch)
    assert {loss.dtype for loss in losses.values()} == {torch.float32}
    sum(losses.values(), torch.zeros(())).backward()
    gradients = [parameter.grad for parameter in phases.network.parameters() if parameter.grad is not None]
    assert gradients and all(gradient.isfinite().all() for gradient in gradients)


def test_certain_scores_cost_a_finite_amount() -> None:
    pooled = torch.tensor([[1.0 + 1e-7, 0.0, 1.0]], requires_grad=True)
    loss = apc_training.tag_loss(pooled, torch.tensor([[1.0, 1.0]]))
    loss.backward()
    assert loss.isfinite() and pooled.grad is not None and pooled.grad.isfinite().all()


def test_only_the_patch_classifier_is_penalised() -> None:
    network = build_apc(APC, 3)
    groups = apc_training.Phases(network, ASKED, 2, 2).groups()
    assert {group["name"]: group["weight_decay"] for group in groups} == {
        "encoder": 0.0,
        "patch_classifier": 0.01,
        "head": 0.0,
    }
    assert [parameter.shape for group in groups[1:2] for parameter in group["params"]] == [(4, 16)]
    assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))
