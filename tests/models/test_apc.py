"""APC's network."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from tests.support.networks import build_apc, load_initial
from wsss.models.apc import APC

MODEL = "vit_tiny_patch16_224"
TINY = {"embed_dim": 32, "depth": 4, "num_heads": 2, "patch_size": 8, "img_size": 32}
NETWORK = {
    "model": MODEL,
    "arguments": TINY,
    "blocks": [1, 2, 4],
    "lstm": 8,
    "dropout": 0.2,
    "decoder": 16,
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "native_side": 32,
}


def build(**changes: Any) -> APC:
    """The tiny network with three classes, in evaluation mode."""
    torch.manual_seed(0)
    return build_apc({**NETWORK, **changes}, 3).eval()


def pictures(*size: int) -> Tensor:
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))


def f_in(network: APC, images: Tensor) -> Tensor:
    """What the HV-BiLSTM receives, (B, N, D)."""
    seen: list[Tensor] = []
    handle = network.hv_bilstm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        network(images)
    handle.remove()
    return seen[0]


def fixed_size(network: APC, side: int, position: Tensor | None = None) -> torch.nn.Module:
    """The same encoder as timm builds it for one side only, without interpolation."""
    twin = timm.create_model(MODEL, num_classes=0, **{**TINY, "img_size": side}).eval()
    state = dict(network.encoder.state_dict())
    if position is not None:
        state["pos_embed"] = position
    twin.load_state_dict(state)
    return twin


@pytest.mark.parametrize("size", [(32, 32), (30, 41), (1, 64), (40, 16)])
def test_any_size(size: tuple[int, int]) -> None:
    with torch.no_grad():
        output = build()(pictures(*size))
    rows, columns = (-(-side // 8) for side in size)
    assert output.grid == (rows, columns)
    assert output.features.shape == (2, rows * columns, 32)
    assert output.scores.shape == (2, rows * columns, 4)
    assert output.pixel_logits.shape == (2, 4, rows, columns)
    assert output.scores.min() >= 0
    torch.testing.assert_close(output.scores.sum(-1), torch.ones(2, rows * columns))
    assert all(tensor.isfinite().all() for tensor in (output.features, output.pixel_logits))


def test_padding_adds_zeros_at_the_right_and_the_bottom() -> None:
    network, images = build(), pictures(30, 41)
    padded = torch.zeros(2, 3, 32, 48)
    padded[:, :, :30, :41] = images
    with torch.no_grad():
        output, expected = network(images), network(padded)
    assert torch.equal(output.features, expected.features)
    assert torch.equal(output.pixel_logits, expected.pixel_logits)


def test_position_embedding_is_exact_at_the_native_side() -> None:
    network, images = build(), pictures(32, 32)
    with torch.no_grad():
        expected = fixed_size(network, 32).forward_features(images)[:, 1:]
    assert torch.equal(f_in(network, images), expected)


def test_position_embedding_is_interpolated_elsewhere() -> None:
    network, images = build(), pictures(43, 48)  # padded to 48 x 48
    position = network.encoder.pos_embed.detach()
    grid = position[:, 1:].transpose(1, 2).unflatten(2, (4, 4))
    resized = F.interpolate(grid, (6, 6), mode="bicubic", antialias=True).flatten(2).transpose(1, 2)
    twin = fixed_size(network, 48, torch.cat((position[:, :1], resized), dim=1))
    with torch.no_grad():
        expected = twin.forward_features(F.pad(images, (0, 0, 0, 5)))[:, 1:]
    torch.testing.assert_close(f_in(network, images), expected)


def test_another_shape_of_the_native_number_of_patches_is_interpolated() -> None:
    """2 x 8 patches are as many as 4 x 4; equal images tell whether the embedding was taken as it is."""
    network = build()
    flat = f_in(network, torch.zeros(1, 3, 16, 64))
    square = f_in(network, torch.zeros(1, 3, 32, 32))
    assert flat.shape == square.shape
    assert not torch.allclose(flat, square)


def test_blocks_are_counted_from_one_and_normalised() -> None:
    network, images = build(blocks=[1, 3]), pictures(32, 32)
    encoder = network.encoder
    received: list[Any] = []
    network.decoder.register_forward_pre_hook(lambda _, inputs: received.append(inputs))
    with torch.no_grad():
        output = network(images)
        tokens = encoder._pos_embed(encoder.patch_embed(images))
        after = [tokens := block(tokens) for block in encoder.blocks]
        expected = [encoder.norm(after[number - 1])[:, 1:] for number in (1, 3)]  # without the class token
        features = network.hv_bilstm(encoder.norm(after[-1])[:, 1:], (4, 4))
    for found, block in zip(received[0][0], expected, strict=True):
        torch.testing.assert_close(found, block)
    torch.testing.assert_close(output.features, features)
    torch.testing.assert_close(output.pixel_logits, network.decoder(expected, (4, 4)))


def test_scores_are_the_softmax_of_a_product() -> None:
    network = build()
    with torch.no_grad():
        output = network(pictures(32, 32))
        expected = (output.features @ network.patch_classifier.weight.T).softmax(-1)
    torch.testing.assert_close(output.scores, expected)


def test_encoder_runs_once() -> None:
    network, runs = build(), []
    for block in network.encoder.blocks:
        block.register_forward_hook(lambda *_: runs.append(1))
    with torch.no_grad():
        network(pictures(32, 32))
    assert len(runs) == len(network.encoder.blocks)


def test_decoder_can_be_left_out() -> None:
    network, images = build(), pictures(32, 32)
    with torch.no_grad():
        output, without = network(images), network(images, decode=False)
    assert without.pixel_logits is None
    assert torch.equal(without.scores, output.scores)


def test_images_do_not_depend_on_each_other() -> None:
    network, images = build(), pictures(24, 40)
    with torch.no_grad():
        together, alone = network(images), network(images[1:])
    torch.testing.assert_close(together.features[1:], alone.features)
    torch.testing.assert_close(together.pixel_logits[1:], alone.pixel_logits)


def test_patch_classifier_starts_as_published() -> None:
    weight = build_apc({**NETWORK, "model": MODEL}, 500).patch_classifier.weight  # 501 x 32 draws
    assert build().patch_classifier.bias is None
    assert weight.shape == (501, 32)
    assert weight.std().item() == pytest.approx(0.05, rel=0.03)
    assert weight.mean().item() == pytest.approx(0.0, abs=0.002)


def test_parameter_groups_hold_everything_once() -> None:
    network = build()
    groups = network.parameter_groups()
    assert set(groups) == {"encoder", "patch_classifier", "head"}
    assert {id(p) for p in groups["encoder"]} == {id(p) for p in network.encoder.parameters()}
    assert groups["patch_classifier"] == [network.patch_classifier.weight]
    everything = [id(p) for group in groups.values() for p in group]
    assert sorted(everything) == sorted(id(p) for p in network.parameters())


def test_dropout_before_the_classifier_leaves_the_contrasted_features() -> None:
    network, images = build(dropout=0.0, classifier_dropout=1.0).train(), pictures(32, 32)
    output = network(images, decode=False)
    torch.testing.assert_close(output.features, build(dropout=0.0)(images, decode=False).features)
    classes = output.scores.shape[-1]
    torch.testing.assert_close(output.scores, torch.full_like(output.scores, 1 / classes))  # of no feature
    without = network.eval()(images, decode=False)
    assert torch.equal(without.scores, build(dropout=0.0).eval()(images, decode=False).scores)


def test_dropout_inside_reaches_the_lstms() -> None:
    network, images = build(dropout=0.0, lstm_dropout=1.0).train(), pictures(32, 32)
    first = network(images, decode=False).features
    torch.testing.assert_close(first, network(torch.zeros_like(images), decode=False).features)


@pytest.mark.parametrize("model", [MODEL, "eva02_tiny_patch14_224"])
def test_the_last_blocks_learn_and_the_final_norm(model: str) -> None:
    network = (
        build(model=model, arguments={**SMALL, "depth": 4}, native_side=28) if "14" in model else build()
    )
    network.let_encoder_learn(3)
    learning = {name for name, p in network.encoder.named_parameters() if p.requires_grad}
    final = "norm" if model == MODEL else "fc_norm"  # one that pools patches keeps it under another name
    assert {name.split(".")[0] for name in learning} == {"blocks", final}
    assert {name.split(".")[1] for name in learning if name.startswith("blocks")} == {"1", "2", "3"}
    assert {name for name in learning if name.startswith(final)} == {f"{final}.weight", f"{final}.bias"}
    network.let_encoder_learn(0)
    assert not any(p.requires_grad for p in network.encoder.parameters())
    network.let_encoder_learn(None)
    assert all(p.requires_grad for p in network.encoder.parameters())


@pytest.mark.parametrize("blocks", [-1, 5])
def test_more_learning_blocks_than_there_are_are_refused(blocks: int) -> None:
    with pytest.raises(ValueError, match=f"learns: expected at most the encoder's 4 blocks, found {blocks}"):
        build().let_encoder_learn(blocks)


def test_frozen_encoder_gets_no_gradient_and_stays_in_its_group() -> None:
    network = build().train()
    network.let_encoder_learn(0)
    output = network(pictures(32, 32), decode=False)
    output.scores.square().sum().backward()
    groups = network.parameter_groups()
    assert all(p.grad is None and not p.requires_grad for p in groups["encoder"])
    assert all(p.grad is not None for p in groups["patch_classifier"])
    assert all(p.grad is not None for p in network.hv_bilstm.parameters())
    network.let_encoder_learn(None)
    network(pictures(32, 32), decode=False).scores.square().sum().backward()
    assert all(p.grad is not None for p in groups["encoder"])


def test_every_parameter_learns() -> None:
    network = build().train()
    output = network(pictures(32, 32))
    (output.scores.square().sum() + output.pixel_logits.square().sum()).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_pixel_loss_reaches_the_encoder_but_not_the_patch_classifier() -> None:
    network = build()
    network(pictures(32, 32)).pixel_logits.square().sum().backward()
    assert all(p.grad is None for p in network.hv_bilstm.parameters())
    assert network.patch_classifier.weight.grad is None
    assert network.encoder.patch_embed.proj.weight.grad.any()


def test_types_and_devices(device: torch.device, dtype: torch.dtype) -> None:
    network = build().to(device, dtype)
    with torch.no_grad():
        output = network(pictures(33, 32).to(device, dtype))
        reference = build()(pictures(33, 32))
    assert {output.features.dtype, output.scores.dtype, output.pixel_logits.dtype} == {dtype}
    assert output.features.device.type == device.type
    torch.testing.assert_close(output.features.cpu().float(), reference.features, atol=1e-4, rtol=1e-3)


def test_initial_weights_load_into_the_encoder(tmp_path: Path) -> None:
    other = timm.create_model(MODEL, num_classes=5, **TINY)
    save_file(other.state_dict(), tmp_path / "weights.safetensors")
    network = build()
    initial = {"file": str(tmp_path / "weights.safetensors"), "supervision": "none", "pixel_labels": False}
    load_initial(network.encoder, initial)
    for name, value in network.encoder.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])


@pytest.mark.parametrize("settings", [{}, {"lstm_dropout": 0.2, "classifier_dropout": 0.2}])
def test_parameters_at_the_papers_size(settings: dict[str, Any]) -> None:
    """ViT-B/16 at 384 with VOC's 20 classes."""
    with torch.device("meta"):
        network = build_apc({"model": "vit_base_patch16_384", "native_side": 384, **settings}, 20)
    parts = (network.encoder, network.hv_bilstm, network.patch_classifier, network.decoder)
    counts = [sum(p.numel() for p in part.parameters()) for part in parts]
    assert counts == [86_090_496, 2_955_264, 16_128, 1_055_509]
    assert sum(counts) == sum(p.numel() for p in network.parameters()) == 90_117_397
    assert network.blocks == (3, 6, 9, 12)


SMALL = {"embed_dim": 32, "depth": 2, "num_heads": 2}


@pytest.mark.parametrize(
    ("model", "arguments", "stride"),
    [
        ("vit_small_patch14_reg4_dinov2", SMALL, 14),  # register tokens
        ("deit_tiny_distilled_patch16_224", SMALL, 16),  # a second prefix token
        ("vit_medium_patch16_gap_256", SMALL, 16),  # no class token
        ("eva02_tiny_patch14_224", SMALL, 14),  # rotary position embedding
        (MODEL, {**SMALL, "global_pool": "avg"}, 16),  # final norm after pooling
    ],
)
def test_other_members_of_the_family(model: str, arguments: dict[str, Any], stride: int) -> None:
    network = build(model=model, arguments=arguments, blocks=[1, 2], native_side=4 * stride)
    output = network(pictures(4 * stride, 30))
    assert network.stride == stride
    assert output.grid == (4, -(-30 // stride))
    tokens = f_in(network, pictures(4 * stride, 30))
    torch.testing.assert_close(
        tokens.mean(-1), torch.zeros(tokens.shape[:2]), atol=1e-5, rtol=0
    )  # normalised


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lstm": 9}, "lstm: expected a quarter of the 32 features, found 9"),
        ({"blocks": [1, 5]}, r"blocks: expected ascending numbers from 1 to 4, found \[1, 5\]"),
        ({"blocks": [0, 4]}, "blocks: expected ascending"),
        ({"blocks": [4, 1]}, "blocks: expected ascending"),
        ({"blocks": [2, 2]}, "blocks: expected ascending"),
        ({"blocks": []}, "blocks: expected ascending"),
        ({"native_side": 64}, "img_size: expected the native side 64, found 32"),
        ({"model": "no_such_model"}, "timm has no model"),
        ({"model": "resnet18"}, "does not take"),
        ({"model": "resnet18", "arguments": {}}, "does not take"),
        ({"arguments": {**TINY, "num_heads": 3}}, "does not take .*'num_heads': 3.* divisible"),
        ({"arguments": {**TINY, "patch_size": (8, 4)}}, "expected square patches"),
        ({"arguments": {**TINY, "patch_drop_rate": 0.5}}, "patch dropout"),
        ({"arguments": {**TINY, "global_pool": "map"}}, "attention pooling"),
        ({"dropout": 1.5}, "dropout"),
    ],
)
def test_bad_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**changes)


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(TypeError, match="decodre"):
        build(decodre=3)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 1, 32, 32), (0, 3, 32, 32)])
def test_anything_but_a_batch_of_images_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="images: expected shape"):
        build()(torch.zeros(shape))
