import pytest
import torch
from torch import Tensor, nn

from wsss.models.outputs import pad_to_multiple
from wsss.prediction.segmentation import Segmenter, best_logits


class Cells(nn.Module):
    """Two labels, scored by the brightness of each cell of 8 x 8 pixels; padding scores far above all."""

    def logits(self, images: Tensor) -> Tensor:
        inside = pad_to_multiple(torch.ones_like(images[:, :1]), 8)
        filled = torch.where(inside == 0, 100.0, pad_to_multiple(images[:, :1], 8))
        cells = nn.functional.avg_pool2d(filled, 8)
        return torch.cat([torch.zeros_like(cells), cells], dim=1)


def predict(model: Segmenter, image: Tensor, stride: int, scales: list[float], mirror: bool) -> Tensor:
    """Probabilities of one image, (C+1, H, W)."""
    return best_logits(model, image[None], stride, scales, mirror).softmax(1)[0]


def test_probabilities_sum_to_one_at_any_size() -> None:
    image = torch.rand(3, 37, 45)
    found = predict(Cells(), image, 8, [0.5, 1.0, 1.5], True)
    assert found.shape == (2, 37, 45)
    torch.testing.assert_close(found.sum(0), torch.ones(37, 45))


def test_padding_does_not_change_the_prediction_inside() -> None:
    image = torch.rand(3, 37, 45)
    whole = predict(Cells(), image[:, :32, :40], 8, [1.0], False)
    padded = predict(Cells(), image, 8, [1.0], False)
    torch.testing.assert_close(padded[:, :28, :36], whole[:, :28, :36])


def test_the_largest_logit_of_all_views_wins() -> None:
    image = torch.rand(3, 32, 48)
    views = [predict(Cells(), image, 8, [scale], False) for scale in (0.5, 1.0)]
    both = predict(Cells(), image, 8, [0.5, 1.0], False)
    torch.testing.assert_close(both, torch.where(views[0][1] > views[1][1], views[0], views[1]))


def test_the_mirror_is_turned_back() -> None:
    image = torch.rand(3, 32, 48)
    plain = predict(Cells(), image, 8, [1.0], False)
    torch.testing.assert_close(predict(Cells(), image, 8, [1.0], True), plain)


def test_no_scale_is_refused() -> None:
    with pytest.raises(ValueError, match="scales: expected at least one"):
        predict(Cells(), torch.rand(3, 8, 8), 8, [], True)
