"""Conformer against the published network: names, numbers, gradients and sizes."""

import json
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.golden import FOLDER, assert_close_to_golden
from tests.golden.fill import fill
from tests.support.memory import Peak
from wsss.methods.attention import class_attention
from wsss.models.conformer import (
    Conformer,
    Stage,
    conformer_base,
    conformer_nano,
    conformer_small,
    conformer_tiny,
)
from wsss.pretrained.state_dicts import load_pretrained

Golden = Callable[[str], dict[str, np.ndarray]]
TOL64 = {"float64": 1e-9, "float32": 2e-7}  # by the precision in which the golden array is stored
TOL32 = {
    "a_conv_logits": 1e-5,
    "a_cls_logits": 2e-5,
    "a_attn": 2e-4,
    "a_trunc_conv_logits": 1e-5,
    "a_trunc_cls_logits": 2e-5,
    "a_trunc_cam_raw": 5e-5,
}


def _filled(output_stride: int) -> Conformer:
    model = conformer_small(20, output_stride=output_stride).eval()
    fill(model)
    return model


@pytest.fixture(scope="module")
def published() -> Conformer:
    return _filled(32)


@pytest.fixture(scope="module")
def truncated() -> Conformer:
    return _filled(16)


def _outputs(published: Conformer, truncated: Conformer, images: Tensor) -> dict[str, Tensor]:
    """All recorded quantities, by their golden names without the letter of the input."""
    with torch.no_grad():
        full, cut = published(images), truncated(images)
        full_features, cut_features = published.features(images), truncated.features(images)
    return {
        "conv_logits": full.cnn_logits,
        "cls_logits": full.vit_logits,
        "conv_feat": full_features.conv,
        "tokens_patch": full_features.tokens[:, 1:],
        "tokens_cls": full_features.tokens[:, 0],
        "attn": full.attention.transpose(0, 1),
        "trunc_conv_logits": cut.cnn_logits,
        "trunc_cls_logits": cut.vit_logits,
        "trunc_conv_feat_c8": cut_features.conv[:, ::8],
        "trunc_conv_feat_mean": cut_features.conv.mean((2, 3)),
        "trunc_tokens_patch_t3": cut_features.tokens[:, 1:, ::3],
        "trunc_tokens_cls": cut_features.tokens[:, 0],
        "trunc_cam_raw": cut.class_maps,
    }


def test_state_dict_is_the_published_one(published: Conformer) -> None:
    names = json.loads((FOLDER / "names_conformer.json").read_text())
    assert [[key, list(value.shape)] for key, value in published.state_dict().items()] == names
    assert len(names) == 718


def test_dropping_block_12_drops_only_its_names(published: Conformer, truncated: Conformer) -> None:
    gone = published.state_dict().keys() - truncated.state_dict().keys()
    assert gone == {name for name in published.state_dict() if name.startswith("conv_trans_12.")}


@pytest.mark.parametrize(
    ("classes", "output_stride", "parameters"),
    [(1000, 32, 37_673_424), (20, 32, 36_291_624), (20, 16, 31_033_640)],
)
def test_parameter_counts(classes: int, output_stride: int, parameters: int) -> None:
    with torch.device("meta"):
        model = conformer_small(classes, output_stride=output_stride)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


@pytest.mark.parametrize("letter", ["a", "b"])
def test_float64_golden(golden: Golden, published: Conformer, truncated: Conformer, letter: str) -> None:
    arrays = golden("conformer")
    images = torch.from_numpy(arrays[f"{letter}_input"]).double()
    for name, value in _outputs(published.double(), truncated.double(), images).items():
        expected = arrays[f"{letter}_{name}"]
        assert_close_to_golden(value, expected, TOL64[expected.dtype.name])


def test_float32_golden(golden: Golden, published: Conformer, truncated: Conformer) -> None:
    arrays = golden("conformer")
    found = _outputs(published.float(), truncated.float(), torch.from_numpy(arrays["a_input"]))
    for name, tolerance in TOL32.items():
        assert_close_to_golden(found[name.removeprefix("a_")], arrays[name], tolerance)


def test_fused_attention_gives_the_same_numbers(truncated: Conformer) -> None:
    images = torch.randn(1, 3, 48, 64, dtype=torch.float64)
    with torch.no_grad():
        explicit, fused = truncated.double()(images), truncated.double()(images, attention=False)
    assert fused.attention is None
    torch.testing.assert_close(fused.class_maps, explicit.class_maps, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(fused.vit_logits, explicit.vit_logits, rtol=1e-10, atol=1e-10)


def _reached(model: Conformer, logits: Tensor) -> set[int]:
    """Parameters that a loss on ``logits`` reaches."""
    gradients = torch.autograd.grad(
        logits.square().sum(), list(model.parameters()), retain_graph=True, allow_unused=True
    )
    return {id(p) for p, gradient in zip(model.parameters(), gradients, strict=True) if gradient is not None}


@pytest.mark.parametrize("build", [conformer_nano, conformer_tiny])
@pytest.mark.parametrize("attention", [True, False])
def test_stop_gradient_splits_the_parameters(build: Callable[..., Conformer], attention: bool) -> None:
    model = build(3, stop_gradient=True)
    output = model(torch.randn(2, 3, 32, 32), attention=attention)
    groups = {name: {id(p) for p in group} for name, group in model.parameter_groups().items()}
    assert _reached(model, output.cnn_logits) == groups["cnn"]
    assert _reached(model, output.vit_logits) == groups["vit"]
    assert not groups["cnn"] & groups["vit"]
    assert groups["cnn"] | groups["vit"] == {id(p) for p in model.parameters()}


def test_output_stride_32_splits_as_well() -> None:
    model = conformer_tiny(3, output_stride=32)
    output = model(torch.randn(2, 3, 32, 32), attention=False)
    assert not _reached(model, output.cnn_logits) & _reached(model, output.vit_logits)
    assert len(_reached(model, output.cnn_logits) | _reached(model, output.vit_logits)) == len(
        list(model.parameters())
    )


def test_without_the_stop_gradients_cross() -> None:
    model = conformer_nano(3, stop_gradient=False)
    output = model(torch.randn(2, 3, 16, 16))
    groups = {name: {id(p) for p in group} for name, group in model.parameter_groups().items()}
    assert _reached(model, output.cnn_logits) & groups["vit"]
    assert _reached(model, output.vit_logits) & groups["cnn"]


def test_the_stop_leaves_the_forward_coupling_alone() -> None:
    torch.manual_seed(0)
    stopped, coupled = conformer_nano(3).eval(), conformer_nano(3, stop_gradient=False).eval()
    coupled.load_state_dict(stopped.state_dict())
    images = torch.randn(1, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(stopped(images).class_maps, coupled(images).class_maps, rtol=0, atol=0)


@pytest.mark.parametrize("size", [(33, 50), (16, 16), (1, 17), (31, 64)])
@pytest.mark.parametrize(
    ("build", "output_stride", "token", "blocks"),
    [
        (conformer_nano, 4, 4, 5),
        (conformer_nano, 8, 8, 5),
        (conformer_nano, 16, 16, 5),
        (conformer_tiny, 16, 16, 11),
        (conformer_tiny, 32, 16, 12),
    ],
)
def test_any_size(
    build: Callable[..., Conformer], output_stride: int, token: int, blocks: int, size: tuple[int, int]
) -> None:
    model = build(3, output_stride=output_stride).eval()
    with torch.no_grad():
        output = model(torch.randn(1, 3, *size))
    assert model.stride == output_stride
    assert output.class_maps.shape == (1, 3, *(-(-side // output_stride) for side in size))
    tokens = -(-size[0] // token) * -(-size[1] // token)
    assert output.attention.shape == (1, blocks, tokens + 1, tokens + 1)
    torch.testing.assert_close(output.attention.sum(-1), torch.ones(1, blocks, tokens + 1))


def test_padding_is_zeros_at_the_right_and_the_bottom() -> None:
    model = conformer_nano(3).eval()
    images = torch.randn(1, 3, 14, 18)
    padded = torch.zeros(1, 3, 16, 20)
    padded[:, :, :14, :18] = images
    with torch.no_grad():
        torch.testing.assert_close(model(images).class_maps, model(padded).class_maps, rtol=0, atol=0)


def test_logits_are_the_mean_of_the_maps_plus_bias() -> None:
    model = conformer_nano(3).eval().double()
    torch.nn.init.normal_(model.conv_cls_head.bias)
    with torch.no_grad():
        output = model(torch.randn(2, 3, 16, 24, dtype=torch.float64))
        pooled = model.features(torch.zeros(2, 3, 16, 24, dtype=torch.float64)).conv.mean((2, 3))
        head = model.conv_cls_head(pooled)
        zero = model(torch.zeros(2, 3, 16, 24, dtype=torch.float64))
    torch.testing.assert_close(output.cnn_logits, output.class_maps.mean((2, 3)) + model.conv_cls_head.bias)
    torch.testing.assert_close(zero.cnn_logits, head)


def test_drop_path_acts_in_training_only() -> None:
    torch.manual_seed(0)
    model = conformer_nano(3, drop_path=0.9)
    images = torch.randn(1, 3, 16, 16)
    trained = [model(images, attention=False).vit_logits for _ in range(8)]
    model.eval()
    evaluated = [model(images, attention=False).vit_logits for _ in range(2)]
    assert any(not torch.equal(trained[0], other) for other in trained[1:])
    assert torch.equal(*evaluated)


def test_base_has_its_own_widths() -> None:
    with torch.device("meta"):
        model = conformer_base(20)
    assert model.cls_token.shape == (1, 1, 576)
    assert model.conv_cls_head.weight.shape == (20, 1536)
    assert model.trans_1.attn.heads == 9


@pytest.mark.parametrize(("build", "stride"), [(conformer_small, 8), (conformer_nano, 32)])
def test_unknown_output_stride_is_refused(build: Callable[..., Conformer], stride: int) -> None:
    with pytest.raises(ValueError, match=f"output_stride: expected one of .* found {stride}"):
        build(3, output_stride=stride)


@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 1, 16, 16), (0, 3, 16, 16)])
def test_wrong_images_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected shape \(B, 3, H, W\), found"):
        conformer_nano(3)(torch.zeros(shape))


def test_runs_on_each_device_and_precision(device: torch.device, dtype: torch.dtype) -> None:
    model = conformer_nano(3).to(device, dtype)
    output = model(torch.randn(1, 3, 20, 20, device=device, dtype=dtype))
    assert output.attention.dtype == output.class_maps.dtype == dtype
    assert output.vit_logits.device.type == device.type


def test_attention_is_held_once() -> None:
    model = Conformer(3, stages=(Stage(8, 16, 1),), dim=8, heads=1, patch=1, stem_channels=8).eval()
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad(), Peak(images, *model.parameters(), *model.buffers()) as without:
        model(images, attention=False)
    with torch.no_grad(), Peak(images, *model.parameters(), *model.buffers()) as peak:
        stack = model(images).attention
    assert peak.bytes - without.bytes < 1.5 * stack.nbytes


@pytest.fixture(scope="module")
def tscam() -> Conformer:
    """TS-CAM's own network, with the parameters that its recording used."""
    model = conformer_small(20, output_stride=32, token_head="patches").eval()
    fill(model)
    return model


def test_the_head_on_patches_has_tscams_names(tscam: Conformer) -> None:
    names = json.loads((FOLDER / "names_tscam_heads.json").read_text())
    found = [[key, list(value.shape)] for key, value in tscam.state_dict().items() if "cls_head" in key]
    assert sorted(found) == sorted(names)


def test_the_head_on_patches_is_tscams(golden: Golden, tscam: Conformer) -> None:
    arrays = golden("coupling")
    with torch.no_grad():
        output = tscam.double()(torch.from_numpy(arrays["tscam_input"]).double())
    assert_close_to_golden(output.attention.transpose(0, 1), arrays["tscam_attn"], 2e-7)
    assert_close_to_golden(output.cnn_logits + output.vit_logits, arrays["tscam_logits"], 1e-9)
    coupled = class_attention(output.attention[0]).reshape(4, 4) * output.token_maps[0]
    assert_close_to_golden(coupled[None], arrays["tscam_cams"], 1e-9)


@pytest.mark.parametrize("token_head", ["class", "patches"])
def test_token_maps_and_features_are_of_the_patch_tokens(token_head: str) -> None:
    model = conformer_nano(3, token_head=token_head).eval().double()
    images = torch.randn(2, 3, 14, 20, dtype=torch.float64)
    with torch.no_grad():
        output, without = model(images), model(images, attention=False)
        tokens = model.trans_norm(model.features(images).tokens)
    torch.testing.assert_close(output.features, tokens[:, 1:])
    assert output.features.shape == (2, 4 * 5, 96)
    assert without.features is without.token_maps is without.attention is None
    torch.testing.assert_close(without.vit_logits, output.vit_logits)
    if token_head == "class":
        assert output.token_maps is None
        return
    grid = torch.zeros(2, 96, 6, 7, dtype=torch.float64)  # the grid with a border of zeros
    grid[:, :, 1:5, 1:6] = tokens[:, 1:].transpose(1, 2).reshape(2, 96, 4, 5)
    weight, bias = model.trans_cls_head.weight, model.trans_cls_head.bias
    cell = (grid[0, :, 1:4, 2:5] * weight).sum((1, 2, 3)) + bias  # row 1, column 2, by the definition
    torch.testing.assert_close(output.token_maps[0, :, 1, 2], cell)
    torch.testing.assert_close(output.vit_logits, output.token_maps.mean((2, 3)))


def test_the_head_on_patches_leaves_the_branches_apart() -> None:
    model = conformer_nano(3, token_head="patches")
    output = model(torch.randn(2, 3, 16, 16), attention=False)
    groups = {name: {id(p) for p in group} for name, group in model.parameter_groups().items()}
    assert _reached(model, output.cnn_logits) == groups["cnn"]
    assert _reached(model, output.vit_logits) == groups["vit"]


def test_published_weights_load_under_either_head() -> None:
    source, target = conformer_nano(5), conformer_nano(3, token_head="patches")
    load_pretrained(target, source.state_dict())
    assert torch.equal(target.trans_norm.weight, source.trans_norm.weight)
    assert torch.equal(
        target.conv_trans_3.trans_block.attn.qkv.weight, source.conv_trans_3.trans_block.attn.qkv.weight
    )


def test_heads_are_those_that_start_at_random() -> None:
    model = conformer_nano(3)
    heads = {id(p) for p in model.head_parameters()}
    assert heads == {id(p) for head in (model.trans_cls_head, model.conv_cls_head) for p in head.parameters()}


def test_an_unknown_head_is_refused() -> None:
    with pytest.raises(ValueError, match=r"token_head: expected one of \['class', 'patches'\], found tokens"):
        conformer_nano(3, token_head="tokens")
