import torch

from wsss.models.apc import APCOutput
from wsss.prediction.scorers import SOURCES
from wsss.prediction.segmentation import resized


def test_the_decoder_is_enlarged_as_logits_and_the_patches_as_probabilities() -> None:
    """By hand: between a sure cell and a hesitant one logits are averaged, not probabilities."""
    logits = torch.tensor([[0.0, 0.0], [8.0, -1.0]]).reshape(1, 2, 1, 2)
    scores = torch.tensor([[[0.1, 0.9], [0.7, 0.3]]])  # (1, N, C+1)
    output = APCOutput(scores, scores, (1, 2), logits)
    decoder, patches = (
        probabilities(resized(scores(output), (1, 4)))[0] for scores, probabilities in SOURCES.values()
    )
    quarter = torch.tensor([8.0, 0.75 * 8 - 0.25, 0.25 * 8 - 0.75, -1.0])
    torch.testing.assert_close(decoder[1, 0], quarter.sigmoid())
    torch.testing.assert_close(decoder.sum(0), torch.ones(1, 4))
    torch.testing.assert_close(patches[1, 0], torch.tensor([0.9, 0.75, 0.45, 0.3]))
