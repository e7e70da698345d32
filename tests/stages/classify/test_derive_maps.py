"""Maps for which a classifier is differentiated: what is stored, beside the mathematics called by hand."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from tests.support.builders import SHARD, STATISTICS, Data, folder_bytes, make_data, write_weights
from tests.support.networks import build_classifier, classifier_network
from tests.support.processes import killed_at
from wsss.artefacts.formats import ArtefactError, open_tensors, read_image, read_manifest, read_tensors
from wsss.config.classifiers import Views
from wsss.config.errors import ConfigError
from wsss.data.transforms import normalise, rescale, to_tensor
from wsss.methods.climbing import Climb, climb, positive_weights
from wsss.methods.derived_maps import advcam, getam
from wsss.methods.derived_maps.registry import SETTINGS
from wsss.methods.gradient_attention import gradient_maps
from wsss.models import classifiers
from wsss.stages.cam import diffuse_cams
from wsss.stages.classify import derive_maps, extract_maps

CNN = {
    "kind": "cnn",
    "model": "resnet18",
    "arguments": {"channels": [8, 16, 16, 32]},
    "output_stride": 8,
    "frozen": ["conv1", "bn1", "layer1", "layer2"],
    **STATISTICS,
}
VIT = {
    "kind": "timm",
    "model": "vit_tiny_patch16_224",
    "arguments": {"img_size": 48, "patch_size": 8, "embed_dim": 24, "depth": 3, "num_heads": 2},
    **STATISTICS,
}
CONFORMER = {"kind": "conformer", "variant": "nano", "output_stride": 8, **STATISTICS}
VIEWS = {"scales": [1.0, 0.5], "mirror": True, "cached_neighbours": 60, "attention_steps": 0}
SIZES = ((48, 64), (48, 64), (48, 64), (64, 48))  # whole cells at both scales: mirror images are exact
MAPS: dict[str, dict[str, Any]] = {
    "advcam": {"steps": 3, "small_steps": 2},
    "rib": {"rounds": 3, "lr": 1e-3, "head_lr": 1e-2, "crops": 2, "crop": 32, "coverage": 1.0},
    "getam": {"first_block": 2},
}
NETWORKS = {"advcam": CNN, "rib": CNN, "getam": VIT}


def settings(kind: str, **changes: Any) -> dict[str, Any]:
    (model,) = (one for one in SETTINGS if one.__module__.endswith(f".{kind}"))
    return model.model_validate({"kind": kind, **MAPS[kind], **changes}).model_dump()


def trained(network: dict[str, Any]) -> nn.Module:
    """A network at random, whose head says something of each class on every image."""
    torch.manual_seed(1)
    model = build_classifier(network, 3)
    with torch.no_grad():
        for parameter in model.head_parameters():  # type: ignore[operator]
            parameter.copy_(torch.randn_like(parameter))
    return model.eval()


def run(
    data: Data,
    out: Path,
    kind: str,
    network: dict[str, Any] | None = None,
    shard: str = SHARD,
    **changes: Any,
) -> dict[str, Tensor]:
    """The stored tensors of one shard."""
    network = network or NETWORKS[kind]
    out.mkdir(exist_ok=True)
    derive_maps.run(
        manifest=data.manifest,
        weights=write_weights(data.path("weights"), trained(network)),
        cams=out / "cams",
        attention=out / "attention",
        network=classifier_network(network),
        views=VIEWS,
        maps=settings(kind, **changes),
        shard=shard,
    )
    return read_tensors(out / "cams", "views")


def merged(data: Data, out: Path) -> dict[str, Tensor]:
    """Class maps by method cam of what is stored in a folder."""
    diffuse_cams.run(
        manifest=data.manifest,
        cams=out / "cams",
        attention=out / "attention",
        maps=out / "maps",
        settings={"kind": "cam"},
        shard=SHARD,
    )
    return read_tensors(out / "maps", "maps")


@pytest.fixture
def data(tmp_path: Path) -> Data:
    return make_data(tmp_path, SIZES)


def seen(data: Data, number: int, scale: float) -> Tensor:
    """An image of the data set as the network sees it, (3, H, W)."""
    image = rescale(read_image(data.records[number]), scale)
    return to_tensor(normalise(image, STATISTICS["mean"], STATISTICS["std"]))


def shared_peaks(views: Sequence[Tensor]) -> list[Tensor]:
    peak = torch.stack([view.amax((1, 2)) for view in views]).amax(0)
    return [view / peak[:, None, None] for view in views]


@pytest.mark.parametrize("kind", MAPS)
def test_what_is_stored_has_the_form_of_extracted_views(data: Data, tmp_path: Path, kind: str) -> None:
    tensors = run(data, tmp_path / "out", kind)
    paired = kind != "getam"
    names = {f"part/1/cam{view}" for view in range(2 if paired else 4)} | {"part/1/classes"}
    assert {name for name in tensors if name.startswith("part/1/")} == names
    assert {name for name in tensors if name.startswith("img2/")} == {"img2/classes"}  # it shows no class
    assert tensors["part/1/cam0"].shape == (2, 6, 8) and tensors["part/1/cam0"].dtype == torch.float16
    assert max(float(tensors[name].max()) for name in names - {"part/1/classes"}) == 1
    with open_tensors(tmp_path / "out" / "cams", "views") as shard:
        expected = {**Views(**VIEWS).model_dump(), "mirror": not paired, "stride": 8, "maps": settings(kind)}
        assert shard.params == expected
    assert read_tensors(tmp_path / "out" / "attention", "attention") == {}
    maps = merged(data, tmp_path / "out")
    assert maps["part/1/maps"].shape == (2, 12, 16)
    assert maps["part/1/maps"].amax((1, 2)).tolist() == pytest.approx([1, 1], abs=1e-3)


def test_advcam_climbs_each_class_of_an_image_at_each_scale(data: Data, tmp_path: Path) -> None:
    tensors, network = run(data, tmp_path / "out", "advcam"), trained(CNN)
    positive = positive_weights(network.map_head().weight)  # type: ignore[operator]
    classes = torch.tensor(data.records[1].classes)
    expected = [
        climb(
            lambda images: network(images).class_maps,
            seen(data, 1, scale).expand(2, -1, -1, -1),
            classes,
            positive,
            Climb(steps=steps),
        ).detach()
        for scale, steps in ((1.0, 3), (0.5, 2))
    ]
    for view, maps in enumerate(shared_peaks(expected)):
        torch.testing.assert_close(tensors[f"part/1/cam{view}"].float(), maps, atol=1e-3, rtol=0)


def test_classes_that_do_not_fit_a_batch_climb_one_after_the_other(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = run(data, tmp_path / "together", "advcam")
    monkeypatch.setattr(advcam, "BATCH_PIXELS", 1)
    apart = run(data, tmp_path / "apart", "advcam")
    for name, maps in together.items():
        torch.testing.assert_close(apart[name], maps, atol=2e-3, rtol=0)


def test_the_first_step_of_advcam_is_cam_where_both_views_are_as_active(tmp_path: Path) -> None:
    """Of an image that is its own mirror image."""
    data = make_data(tmp_path, SIZES[:1], [(0, 1)])
    image = torch.from_numpy(read_image(data.records[0]))
    Image.fromarray(torch.cat([image[:, :32], image[:, :32].flip(1)], 1).numpy()).save(data.records[0].image)
    run(data, tmp_path / "out", "advcam", steps=1, small_steps=1)
    plain = extracted(data, tmp_path / "plain", CNN)
    torch.testing.assert_close(
        merged(data, tmp_path / "out")["img0/maps"], plain["img0/maps"], atol=2e-3, rtol=0
    )


def extracted(data: Data, out: Path, network: dict[str, Any]) -> dict[str, Tensor]:
    """Class maps of the forward pass."""
    out.mkdir()
    extract_maps.run(
        manifest=data.manifest,
        weights=write_weights(data.path("weights"), trained(network)),
        cams=out / "cams",
        attention=out / "attention",
        network=classifier_network(network),
        views={**VIEWS, "cached_neighbours": 10, "attention_steps": 0},
        shard=SHARD,
    )
    return merged(data, out)


def test_rib_without_learning_is_cam(data: Data, tmp_path: Path) -> None:
    run(data, tmp_path / "out", "rib", lr=0.0, head_lr=0.0)
    plain = extracted(data, tmp_path / "plain", CNN)
    for name, maps in merged(data, tmp_path / "out").items():
        torch.testing.assert_close(maps, plain[name], atol=2e-3, rtol=0)


def kept_networks(monkeypatch: pytest.MonkeyPatch) -> list[nn.Module]:
    """The networks that the stage builds."""
    built: list[nn.Module] = []

    def build(*arguments: Any) -> nn.Module:
        built.append(classifiers.build_classifier(*arguments))
        return built[-1]

    monkeypatch.setattr(derive_maps, "build_classifier", build)
    return built


@pytest.mark.parametrize("network", [CNN, CONFORMER], ids=["cnn", "conformer"])
def test_rib_leaves_the_classifier_as_it_was_trained(
    data: Data, tmp_path: Path, network: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    built = kept_networks(monkeypatch)
    tuned = run(data, tmp_path / "out", "rib", network)
    unmoved = run(data, tmp_path / "still", "rib", network, lr=0.0, head_lr=0.0)
    assert any(not torch.equal(tuned[name], unmoved[name]) for name in tuned)  # it did learn
    expected = trained(network).state_dict()
    assert expected.keys() == built[0].state_dict().keys()
    for name, value in built[0].state_dict().items():
        assert torch.equal(value.cpu(), expected[name]), name


def test_what_did_not_learn_in_training_does_not_in_rib(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = kept_networks(monkeypatch)
    run(data, tmp_path / "out", "rib")
    learning = {name.split(".")[1] for name, one in built[0].named_parameters() if one.requires_grad}
    assert learning == {"layer3", "layer4", "weight"}


@pytest.mark.parametrize("kind", MAPS)
def test_neither_order_nor_shards_matter(data: Data, tmp_path: Path, kind: str) -> None:
    whole = run(data, tmp_path / "whole", kind)
    parts = [run(data, tmp_path / shard, kind, shard=shard) for shard in ("001of002", "000of002")]
    joined = {name: tensor for part in parts for name, tensor in part.items()}
    assert joined.keys() == whole.keys() and all(len(part) for part in parts)
    assert all(torch.equal(joined[name], whole[name]) for name in whole)


def test_crops_of_other_images_share_no_class(data: Data) -> None:
    images, tags = derive_maps._others(
        data.records[1], read_manifest(data.manifest), ([0.5] * 3, [0.25] * 3), 20, 32
    )
    assert images.shape == (1, 3, 32, 32) and tags.tolist() == [
        [1, 0, 0]
    ]  # of classes 1 and 2 it has img0 alone
    images, tags = derive_maps._others(
        data.records[0], read_manifest(data.manifest), ([0.5] * 3, [0.25] * 3), 1, 32
    )
    assert len(images) == 1 and tags[0, 0] == 0


def test_an_image_that_shares_its_classes_with_all_is_tuned_by_itself(tmp_path: Path) -> None:
    data = make_data(tmp_path, SIZES[:2], [(0,), (0, 1)])
    tensors = run(data, tmp_path / "out", "rib")
    assert tensors["img0/cam0"].isfinite().all()


def test_getam_is_of_each_view_by_itself(data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors, network = run(data, tmp_path / "out", "getam"), trained(VIT)
    views = []
    for scale in VIEWS["scales"]:
        for flip in (False, True):
            image = seen(data, 1, scale)
            logits, attention, prefix = network.attention_by_class(  # type: ignore[operator]
                (image.flip(-1) if flip else image)[None], 1
            )
            found = gradient_maps(logits, attention, data.records[1].classes, prefix=prefix)[0]
            views.append(found.unflatten(1, [side // 8 for side in image.shape[1:]]))
    for view, maps in enumerate(shared_peaks(views)):
        torch.testing.assert_close(tensors[f"part/1/cam{view}"].float(), maps, atol=1e-3, rtol=0)
    monkeypatch.setattr(getam, "BATCH_PIXELS", 1)
    for name, tensor in run(data, tmp_path / "apart", "getam").items():
        torch.testing.assert_close(tensor, tensors[name], atol=2e-3, rtol=0)


def test_gradients_too_small_for_float16_give_the_same_maps(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A logit times a is a map times a^2, which the division by the largest value undoes."""
    before = run(data, tmp_path / "before", "getam")
    faint = trained(VIT)
    with torch.no_grad():
        faint.token_head.weight.mul_(1e-5)  # type: ignore[union-attr, operator]
    weights = write_weights(data.path("faint"), faint)
    derive_maps.run(
        manifest=data.manifest,
        weights=weights,
        cams=tmp_path / "cams",
        attention=tmp_path / "attention",
        network=VIT,
        views=VIEWS,
        maps=settings("getam"),
        shard=SHARD,
    )
    for name, tensor in read_tensors(tmp_path / "cams", "views").items():
        torch.testing.assert_close(tensor, before[name], atol=1e-3, rtol=0)


@pytest.mark.parametrize("kind", MAPS)
def test_killed_in_the_middle_of_a_shard_it_goes_on_with_the_images_left(
    data: Data, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(data, tmp_path / "undisturbed", kind)
    assert killed_at(
        5, partial(run, data, tmp_path / "out", kind), "replace"
    )  # weights, two images of two files
    assert not (tmp_path / "out" / "cams").exists()
    made: list[Any] = []
    maker = derive_maps.MAPS[kind]

    def counted(*arguments: Any) -> list[Tensor]:
        made.append(arguments[1].classes)
        return maker(*arguments)

    monkeypatch.setitem(derive_maps.MAPS, kind, counted)
    run(data, tmp_path / "out", kind)
    assert made == [data.records[3].classes]
    assert folder_bytes(tmp_path / "out") == folder_bytes(tmp_path / "undisturbed")


@pytest.mark.parametrize("kind", MAPS)
def test_a_diverged_classifier_is_refused(
    data: Data, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoilt: Callable[..., list[Tensor]] = lambda *_: [torch.full((1, 6, 8), torch.nan)]  # noqa: E731
    monkeypatch.setitem(derive_maps.MAPS, kind, spoilt)
    with pytest.raises(ArtefactError, match=r"image0\.png: the network's maps are not finite numbers"):
        run(data, tmp_path / "out", kind)
    assert not (tmp_path / "out" / "cams").exists()


def test_a_block_that_the_transformer_does_not_have_is_named(data: Data, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"maps\.first_block: expected a block from 1 to 3, found 7"):
        run(data, tmp_path / "out", "getam", first_block=7)


def test_methods_that_need_attention_find_none(data: Data, tmp_path: Path) -> None:
    run(data, tmp_path / "out", "advcam")
    with pytest.raises(ArtefactError, match="the method needs what this classifier does not have"):
        diffuse_cams.run(
            manifest=data.manifest,
            cams=tmp_path / "out" / "cams",
            attention=tmp_path / "out" / "attention",
            maps=tmp_path / "maps",
            settings={"kind": "adcam", "neighbours": 3, "steps": 1},
            shard=SHARD,
        )
