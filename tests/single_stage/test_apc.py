"""APC as a single-stage method."""

import pytest
import torch

from tests.support.apc_training import TRAINING
from tests.support.settings import CONFIG
from wsss.models.apc import APCOutput
from wsss.prediction.segmentation import resized
from wsss.single_stage import apc

SCORES = torch.tensor([[[0.1, 0.9], [0.7, 0.3]]])  # (1, N, C+1)
LOGITS = torch.tensor([[0.0, 0.0], [8.0, -1.0]]).reshape(1, 2, 1, 2)


def network(images: torch.Tensor, *, decode: bool) -> APCOutput:
    """In place of the network: two patches, side by side."""
    return APCOutput(SCORES, SCORES, (1, 2), LOGITS if decode else None)


def test_the_decoder_is_enlarged_as_logits_and_the_patches_as_probabilities() -> None:
    """By hand: between a sure cell and a hesitant one logits are averaged, not probabilities."""
    images = torch.zeros(1, 3, 1, 2)
    decoder, patches = (
        apc.probabilities(resized(apc.scores(network, images, source), (1, 4)), source)[0]  # type: ignore[arg-type]
        for source in apc.SOURCES
    )
    quarter = torch.tensor([8.0, 0.75 * 8 - 0.25, 0.25 * 8 - 0.75, -1.0])
    torch.testing.assert_close(decoder[1, 0], quarter.sigmoid())
    torch.testing.assert_close(decoder.sum(0), torch.ones(1, 4))
    torch.testing.assert_close(patches[1, 0], torch.tensor([0.9, 0.75, 0.45, 0.3]))


def test_class_maps_are_of_probabilities() -> None:
    scores = apc.scores(network, torch.zeros(1, 3, 1, 2), apc.MAPS)  # type: ignore[arg-type]
    assert scores.shape == (1, 2, 1, 2) and scores.sum(1).tolist() == [[[1.0, 1.0]]]


def test_its_trainings_are_told_apart_by_what_the_paper_varies() -> None:
    told = apc.told(TRAINING)
    assert told == {"pooling": "adaptive_k", "epochs": 5, "alpha": 0.2, "beta": 0.1, "by_the_letter": None}


@pytest.mark.parametrize(
    ("source", "beta", "found"), [("decoder", 0, 1), ("patches", 0, 0), ("decoder", 0.1, 0)]
)
def test_a_decoder_that_is_read_must_have_learnt(source: str, beta: float, found: int) -> None:
    variant = CONFIG["single_stage"]["apc"]
    variant = {**variant, "training": {**variant["training"], "beta": beta}}
    findings = apc.check("here", "mine", variant, {"way": {"side": 960, "source": source}})
    assert len(findings) == found and all("here: expected beta above 0, for way" in line for line in findings)
