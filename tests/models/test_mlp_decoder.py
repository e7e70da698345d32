"""The MLP decoder."""

import pytest
import torch
from torch import Tensor, nn

from wsss.models.mlp_decoder import MLPDecoder

GRID = (2, 3)


@pytest.fixture
def blocks() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, 6, 8, dtype=torch.float64, generator=generator) for _ in range(3)]


@pytest.fixture
def decoder() -> MLPDecoder:
    """A decoder whose normalisation is not an identity."""
    torch.manual_seed(0)
    decoder = MLPDecoder(3, 8, 5, 4).double().eval()
    for tensor in (
        decoder.norm.weight,
        decoder.norm.bias,
        decoder.norm.running_mean,
        decoder.norm.running_var,
    ):
        nn.init.uniform_(tensor, 0.5, 2.0)
    return decoder


def test_against_one_patch_at_a_time(decoder: MLPDecoder, blocks: list[Tensor]) -> None:
    norm = decoder.norm
    with torch.no_grad():
        logits = decoder(blocks, GRID)
        assert logits.shape == (2, 4, 2, 3)
        for image in range(2):
            for patch in range(6):
                parts = [
                    layer.weight @ block[image, patch] + layer.bias
                    for layer, block in zip(decoder.reduce, blocks, strict=True)
                ]
                mixed = decoder.mix.weight[:, :, 0, 0] @ torch.cat(parts)
                scaled = (mixed - norm.running_mean) / (norm.running_var + norm.eps).sqrt()
                hidden = (scaled * norm.weight + norm.bias).clamp_min(0)
                expected = decoder.classify.weight[:, :, 0, 0] @ hidden + decoder.classify.bias
                torch.testing.assert_close(logits[image, :, patch // 3, patch % 3], expected)


def test_every_block_matters_and_every_parameter_learns(decoder: MLPDecoder, blocks: list[Tensor]) -> None:
    inputs = [block.requires_grad_() for block in blocks]
    decoder(inputs, GRID).square().sum().backward()
    assert all(block.grad is not None and block.grad.any() for block in inputs)
    assert [name for name, p in decoder.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_labels_are_about_equally_likely_at_first(blocks: list[Tensor]) -> None:
    torch.manual_seed(0)
    probabilities = MLPDecoder(3, 8, 16, 4).double()(blocks, GRID).softmax(1)
    torch.testing.assert_close(probabilities, torch.full_like(probabilities, 0.25), atol=0.05, rtol=0)


def test_wrong_number_of_blocks_is_refused(decoder: MLPDecoder, blocks: list[Tensor]) -> None:
    with pytest.raises(ValueError, match="zip"):
        decoder(blocks[:2], GRID)
