"""GETAM's coupling by hand and against finite differences, and its scale."""

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.support.networks import build_classifier
from tests.support.trainings import COLOURS
from wsss.methods.gradient_attention import coupled, gradient_maps

ARGUMENTS = {"depth": 3, "embed_dim": 24, "num_heads": 3, "img_size": 32}
VIT = {"kind": "timm", "model": "vit_tiny_patch16_224", "arguments": ARGUMENTS, **COLOURS}


def weights(seed: int = 0, heads: int = 2, tokens: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (2, heads, tokens, tokens)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).softmax(-1).requires_grad_()


def network(model: str = "vit_tiny_patch16_224") -> Any:
    torch.manual_seed(0)
    built = build_classifier({**VIT, "model": model}, 4).double().eval()
    for parameter in built.parameters():  # random, and far from where gradients vanish
        torch.nn.init.normal_(parameter, std=0.3)
    return built


def test_one_head_and_one_block_by_hand() -> None:
    """relu(G A) relu(G) of the class token's row; a negative gradient gives nothing."""
    attention = torch.tensor([[0.1, 0.6, 0.3], [0.2, 0.3, 0.5], [0.4, 0.4, 0.2]]).view(1, 1, 3, 3)
    gradient = torch.tensor([[5.0, 2.0, -1.0], [7.0, 7, 7], [7, 7, 7]]).view(1, 1, 3, 3)
    torch.testing.assert_close(coupled([attention], [gradient]), torch.tensor([[2 * 0.6 * 2, 0.0]]))


def test_heads_are_two_means_multiplied() -> None:
    """Heads 0.5 and 0.1 with gradients 2 and -4: mean(1, 0) mean(2, 0) = 0.5, not a mean of squares."""
    attention = torch.tensor([[[0.5, 0.5], [0.5, 0.5]], [[0.9, 0.1], [0.5, 0.5]]])[None]
    gradient = torch.tensor([[[0.0, 2.0], [0.0, 0.0]], [[0.0, -4.0], [0.0, 0.0]]])[None]
    torch.testing.assert_close(coupled([attention], [gradient]), torch.tensor([[0.5]]))
    torch.testing.assert_close(coupled([attention] * 3, [gradient] * 3), torch.tensor([[1.5]]))


def test_maps_are_the_loop_over_images_classes_heads_and_patches() -> None:
    blocks = [weights(1), weights(2)]
    factors = torch.randn(2, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    logits = sum(
        (block.sum(1)[:, 0].square() @ factor) for block, factor in zip(blocks, factors, strict=True)
    )
    found = gradient_maps(logits, blocks, [2, 0])  # type: ignore[arg-type]
    assert found.shape == (2, 2, 4)
    for image in range(2):
        for place, label in enumerate((2, 0)):
            for patch in range(1, 5):
                total = 0.0
                for block, factor in zip(blocks, factors, strict=True):
                    own = block.detach()[image, :, 0, patch]
                    gradient = (2 * own.sum() * factor[patch, label]).expand(2)
                    total += float((gradient * own).relu().mean() * gradient.relu().mean())
                assert found[image, place, patch - 1].item() == pytest.approx(total)


def test_scaled_logits_scale_the_maps_by_the_square() -> None:
    block = weights()
    logits = block.sum(1)[:, 0].square()
    once = gradient_maps(logits, [block], [0, 1])
    torch.testing.assert_close(gradient_maps(3 * logits, [block], [0, 1]), 9 * once)


@pytest.mark.parametrize(
    "model", ["vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "vit_small_patch14_reg4_dinov2"]
)
def test_a_networks_maps_are_those_of_finite_differences(model: str) -> None:
    """One entry of A in a middle block, moved behind the softmax, through the whole network to the logit."""
    vit = network(model)
    images = torch.randn(1, 3, 48, 64, dtype=torch.float64)
    seen = vit.attention_by_class(images, first=1)
    prefix = vit.backbone.num_prefix_tokens
    assert seen.prefix == prefix and len(seen.attention) == 2
    torch.testing.assert_close(seen.logits, vit(images).vit_logits)
    (gradient, _) = torch.autograd.grad(seen.logits[0, 2], seen.attention, retain_graph=True)
    entry, step = (0, 1, 0, prefix + 2), 1e-5

    def logit(by: float) -> Tensor:
        def nudge(layer: Any, given: Any, result: Tensor) -> Tensor:
            moved = result.clone()
            moved[entry] += by
            return moved

        hook = vit.backbone.blocks[1].attn.attn_drop.register_forward_hook(nudge)
        with torch.no_grad():
            found: Tensor = vit(images).vit_logits[0, 2]
        hook.remove()
        return found

    torch.testing.assert_close(
        gradient[entry], (logit(step) - logit(-step)) / (2 * step), rtol=1e-4, atol=1e-8
    )


def test_a_networks_maps_lie_on_its_grid_and_differ_by_class() -> None:
    vit = network().requires_grad_(False)
    images = torch.randn(2, 3, 40, 60, dtype=torch.float64)  # padded to 48 x 64
    logits, attention, prefix = vit.attention_by_class(images, first=0)
    maps = gradient_maps(logits, attention, [0, 3], prefix=prefix)
    assert maps.shape == (2, 2, 12) and (maps >= 0).all() and maps.any(2).all()
    assert not torch.allclose(maps[:, 0], maps[:, 1])
    alone = vit.attention_by_class(images[1:], first=0)
    torch.testing.assert_close(gradient_maps(*alone[:2], [0, 3], prefix=prefix), maps[1:])


def test_a_class_whose_weights_are_zero_has_no_map() -> None:
    vit = network()
    with torch.no_grad():
        vit.token_head.weight[1].zero_()
    logits, attention, prefix = vit.attention_by_class(
        torch.randn(1, 3, 32, 32, dtype=torch.float64), first=1
    )
    maps = gradient_maps(logits, attention, [1, 2], prefix=prefix)
    assert not maps[:, 0].any() and maps[:, 1].any()


def test_no_classes_have_no_maps() -> None:
    block = weights()
    assert gradient_maps(block.sum(1)[:, 0], [block], []).shape == (2, 0, 4)


@pytest.mark.parametrize("shape", [(2, 2, 5, 4), (3, 2, 5, 5), (2, 5, 5), (2, 2, 1, 1)])
def test_what_is_no_attention_is_refused(shape: tuple[int, ...]) -> None:
    expected = r"attention: expected \(B, heads, P\+N, P\+N\) of each block with B = 2 and P = 1, found "
    with pytest.raises(ValueError, match=expected):
        gradient_maps(torch.zeros(2, 3), [torch.zeros(shape)], [0])
    with pytest.raises(ValueError, match=expected):
        gradient_maps(torch.zeros(2, 3), [], [0])
