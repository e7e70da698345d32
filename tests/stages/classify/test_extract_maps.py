from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.support.builders import SHARD, STATISTICS, Data, make_data, write_weights
from tests.support.networks import build_classifier
from wsss.artefacts.formats import ArtefactError, open_tensors, read_image, read_tensors
from wsss.config.classifiers import Views
from wsss.data.transforms import normalise, rescale, to_tensor
from wsss.methods.attention import aggregate_attention, class_attention, feature_affinity
from wsss.methods.cam import merge_views
from wsss.methods.diffusion import attended, coneighbour_similarity, diffuse, refine_attention
from wsss.models.outputs import ClassifierOutput, pad_to_multiple
from wsss.stages.cam import diffuse_cams
from wsss.stages.classify import extract_maps

NETWORK = {
    "kind": "conformer",
    "variant": "nano",
    "output_stride": 4,
    "stop_gradient": True,
    "drop_path": 0.0,
    **STATISTICS,
}
VIEWS = {"scales": [1.0, 0.5], "mirror": True, "cached_neighbours": 60, "attention_steps": 2}


class Patches(nn.Module):
    """A local network: each cell sees its own 4 x 4 pixels only; it has no attention."""

    stride = 4
    token_stride = None

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 3, 4, stride=4, bias=False)

    def forward(self, images: Tensor) -> ClassifierOutput:
        maps = self.head(pad_to_multiple(images, self.stride))
        return ClassifierOutput(maps.mean((2, 3)), None, maps, None)


@pytest.fixture
def conformer() -> nn.Module:
    torch.manual_seed(0)
    return build_classifier(NETWORK, 3)


def run(data: Data, network: nn.Module, name: str = "", **views: Any) -> tuple[Path, Path]:
    cams, attention = data.path(f"{name}cams"), data.path(f"{name}attention")
    extract_maps.run(
        manifest=data.manifest,
        weights=write_weights(data.path("weights"), network),
        cams=cams,
        attention=attention,
        network=NETWORK,
        views={**VIEWS, **views},
        shard=SHARD,
    )
    return cams, attention


def test_shapes_and_types_are_those_of_the_artefact(tmp_path: Path, conformer: nn.Module) -> None:
    data = make_data(tmp_path)
    cams, attention = run(data, conformer, cache_similarity=True)
    maps, lists = read_tensors(cams, "views"), read_tensors(attention, "attention")
    with open_tensors(cams, "views") as shard:
        views = Views.model_validate({**VIEWS, "cache_similarity": True})
        assert shard.params == {"stride": 4, **views.model_dump()}
    for record in data.records:
        name, count = record.id, len(record.classes)
        assert maps[f"{name}/classes"].tolist() == list(record.classes)
        for view in range(4 if count else 0):
            scale = VIEWS["scales"][view // 2]
            grid = [-(-round(side * scale) // 4) for side in (record.height, record.width)]
            tokens = grid[0] * grid[1]
            assert maps[f"{name}/cam{view}"].shape == (count, *grid)
            assert maps[f"{name}/attended{view}"].shape == (2, count, *grid)
            assert lists[f"{name}/neighbours{view}"].shape == (tokens, min(60, tokens))
            assert lists[f"{name}/neighbours{view}"].dtype == torch.uint16
            assert lists[f"{name}/values{view}"].dtype == torch.float16
            assert lists[f"{name}/similarities{view}"][:, 0].float().allclose(torch.ones(tokens), atol=1e-3)
            assert lists[f"{name}/token{view}"].shape == (tokens,)
    assert "img2/classes" in maps and not any(key.startswith("img2/cam") for key in maps)


@pytest.mark.parametrize("neighbours", [1, 50, 60])
def test_adcam_through_both_stages_is_the_dense_computation(
    tmp_path: Path, conformer: nn.Module, neighbours: int
) -> None:
    data = make_data(tmp_path, [(37, 45)], [(0, 2)])
    cams, attention = run(data, conformer)
    settings = {"kind": "adcam", "neighbours": neighbours, "steps": 2}
    diffuse_cams.run(
        manifest=data.manifest,
        cams=cams,
        attention=attention,
        maps=data.path("maps"),
        settings=settings,
        shard=SHARD,
    )
    found = read_tensors(data.path("maps"), "maps")["img0/maps"].float()
    torch.testing.assert_close(found, dense_adcam(conformer, data, neighbours), rtol=0, atol=4e-3)


@torch.no_grad()
def dense_adcam(network: nn.Module, data: Data, neighbours: int) -> Tensor:
    """AD-CAM of the first image by whole matrices, without any file between, (K, h, w)."""
    record, maps, sizes, mirrored = data.records[0], [], [], []
    for scale in VIEWS["scales"]:
        seen = rescale(read_image(record), scale)
        image = to_tensor(normalise(seen, **STATISTICS))[None]
        for flip in (False, True):
            output = network.eval()(image.flip(-1) if flip else image)
            refined = refine_attention(aggregate_attention(output.attention[0]), neighbours)
            cam = output.class_maps[0, list(record.classes)].relu()
            maps.append(diffuse(cam.flatten(1), refined, 2).reshape(cam.shape))
            sizes.append(seen.shape[:2])
            mirrored.append(flip)
    return merge_views(maps, sizes, mirrored, (record.height, record.width), stride=4)


def test_the_cache_holds_the_most_similar_tokens(tmp_path: Path, conformer: nn.Module) -> None:
    data = make_data(tmp_path, [(40, 52)], [(1,)])
    _, attention = run(data, conformer)
    image = to_tensor(normalise(read_image(data.records[0]), **STATISTICS))[None]
    with torch.no_grad():
        matrix = aggregate_attention(conformer.eval()(image).attention[0])
    index = read_tensors(attention, "attention")["img0/neighbours0"].long()
    assert index[:, 0].tolist() == list(range(130))
    kept = coneighbour_similarity(matrix).gather(1, index)
    assert (kept.diff(dim=1) < 1e-6).all()


@pytest.mark.parametrize("per_block", [True, False])
def test_attention_is_renormalised_before_or_after_the_mean(
    tmp_path: Path, conformer: nn.Module, per_block: bool
) -> None:
    data = make_data(tmp_path, [(40, 52)], [(1,)])
    lists = read_tensors(run(data, conformer, per_block=per_block)[1], "attention")
    image = to_tensor(normalise(read_image(data.records[0]), **STATISTICS))[None]
    with torch.no_grad():
        matrix = aggregate_attention(conformer.eval()(image).attention[0], per_block=per_block)
    expected = matrix.gather(1, lists["img0/neighbours0"].long())
    torch.testing.assert_close(lists["img0/values0"].float(), expected, rtol=1e-3, atol=1e-6)


@pytest.fixture
def patches(monkeypatch: pytest.MonkeyPatch) -> Callable[[], nn.Module]:
    monkeypatch.setattr(extract_maps, "build_classifier", lambda network, classes: Patches())
    return Patches


def test_padding_does_not_change_the_map_inside(tmp_path: Path, patches: Callable[[], nn.Module]) -> None:
    network = patches()
    data = make_data(tmp_path, [(37, 45)], [(0, 1, 2)])  # 9 x 11 whole cells and a rest in both directions
    cams, _ = run(data, network, scales=[1.0])
    image = to_tensor(normalise(read_image(data.records[0]), **STATISTICS))
    with torch.no_grad():
        plain = F.conv2d(image[None], network.head.weight, stride=4)[0]
        mirrored = F.conv2d(image.flip(-1)[None], network.head.weight, stride=4)[0]
    maps = read_tensors(cams, "views")
    assert maps["img0/cam0"].shape == (3, 10, 12)
    torch.testing.assert_close(maps["img0/cam0"][:, :9, :11].float(), plain, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(maps["img0/cam1"][:, :9, :11].float(), mirrored, rtol=1e-3, atol=1e-3)


def test_a_network_without_attention_gets_an_empty_attention_file(
    tmp_path: Path, patches: Callable[[], nn.Module]
) -> None:
    cams, attention = run(make_data(tmp_path), patches())
    assert read_tensors(attention, "attention") == {}
    assert not any("attended" in key for key in read_tensors(cams, "views"))


def test_batches_do_not_change_the_maps(
    tmp_path: Path, conformer: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_data(tmp_path)
    together = read_tensors(run(data, conformer)[0], "views")
    monkeypatch.setattr(extract_maps, "BATCH_BYTES", 1)
    alone = read_tensors(run(data, conformer, "alone")[0], "views")
    assert together.keys() == alone.keys()
    for key, tensor in together.items():
        torch.testing.assert_close(tensor, alone[key], rtol=2e-3, atol=1e-4)


def test_images_of_one_size_share_a_batch_within_the_budget(tmp_path: Path) -> None:
    records = make_data(tmp_path).records
    batches = extract_maps._batches(records, [1.0, 0.5], 4)
    assert [(batch.scale, [record.id for record in batch.records]) for batch in batches[:2]] == [
        (0, ["img0", "part/1"]),
        (1, ["img0", "part/1"]),
    ]
    assert len(batches) == 6
    assert extract_maps._batch_size(96, 96, 4) > 1 == extract_maps._batch_size(750, 1000, 4)


def test_same_input_gives_the_same_bytes(tmp_path: Path, conformer: nn.Module) -> None:
    data = make_data(tmp_path)
    first, second = run(data, conformer, "first"), run(data, conformer, "second")
    for left, right in zip(first, second, strict=True):
        assert left.read_bytes() == right.read_bytes()


def test_weights_for_other_classes_are_refused(tmp_path: Path, conformer: nn.Module) -> None:
    data = make_data(tmp_path)
    write_weights(data.path("weights"), conformer, ["cat", "owl", "dog"])
    with pytest.raises(ArtefactError, match=r"weights: expected a network for the classes \['cat', 'dog'"):
        extract_maps.run(
            manifest=data.manifest,
            weights=data.path("weights"),
            cams=data.path("cams"),
            attention=data.path("attention"),
            network=NETWORK,
            views=VIEWS,
            shard=SHARD,
        )


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="weights: does not fit the configured network"):
        run(make_data(tmp_path), nn.Linear(2, 2))


def test_diverged_weights_are_refused_by_name(tmp_path: Path, conformer: nn.Module) -> None:
    with torch.no_grad():
        next(conformer.parameters()).fill_(torch.nan)
    with pytest.raises(ArtefactError, match=r"image\d\.png: .* not finite"):
        run(make_data(tmp_path), conformer)


def test_maps_beyond_float16_do_not_blame_the_training(
    tmp_path: Path, conformer: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    grown = {"attended": lambda held, views: {"attended": 1e9 * held.cam}}
    monkeypatch.setattr(extract_maps, "STORED", grown)
    with pytest.raises(
        ArtefactError, match=r"image\d\.png: expected maps up to 65504.*views.attention_steps"
    ):
        run(make_data(tmp_path), conformer)


def test_views_of_too_many_tokens_are_refused_before_any_work(
    tmp_path: Path, conformer: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extract_maps, "MAX_TOKENS", 129)
    monkeypatch.setattr(extract_maps, "ATTENTION_BYTES", 10**6)
    monkeypatch.setattr(extract_maps, "_extract", lambda *_: pytest.fail("a network ran"))
    data = make_data(tmp_path, [(20, 20), (40, 52)], [(1,), (1,)])
    message = r"image1\.png: .* 130 tokens at scale 1\.0, .* about 17 GB; take smaller scales"
    with pytest.raises(ArtefactError, match=message):
        run(data, conformer)


def test_a_network_without_attention_has_no_limit(
    tmp_path: Path, patches: Callable[[], nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extract_maps, "MAX_TOKENS", 10)
    run(make_data(tmp_path), patches())


def test_a_share_of_the_tokens_can_be_cached(tmp_path: Path, conformer: nn.Module) -> None:
    data = make_data(tmp_path, [(40, 52)], [(1,)])
    lists = read_tensors(run(data, conformer, cached_neighbours=0.1)[1], "attention")
    assert [lists[f"img0/neighbours{view}"].shape for view in (0, 2)] == [(130, 13), (35, 4)]
    both = {"at_least": 10, "fraction": 0.1}
    lists = read_tensors(run(data, conformer, "both", cached_neighbours=both)[1], "attention")
    assert [lists[f"img0/neighbours{view}"].shape for view in (0, 2)] == [(130, 13), (35, 10)]


class Transformer(nn.Module):
    """A network of fixed attention, maps of tokens and features on a grid of 4 pixels."""

    stride = token_stride = 4
    gives: tuple[str, ...] = ("attention", "token_maps", "features")

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 3, 4, stride=4, bias=False)

    def forward(self, images: Tensor) -> ClassifierOutput:
        cells = F.unfold(pad_to_multiple(images, 4), 4, stride=4).transpose(1, 2)  # (B, N, 48)
        maps = self.head(pad_to_multiple(images, 4))
        tokens = F.pad(cells, (0, 0, 1, 0))  # (B, N+1, 48), the class token is zero
        attention = torch.stack([(scale * tokens @ tokens.mT).softmax(-1) for scale in (0.1, 0.3)], 1)
        given = {"attention": attention, "token_maps": maps.flip(-1), "features": cells}
        return ClassifierOutput(
            maps.mean((2, 3)), None, maps, **{name: given[name] for name in self.gives}, **self._missing()
        )

    def _missing(self) -> dict[str, None]:
        return {} if "attention" in self.gives else {"attention": None}


@pytest.fixture
def transformer(monkeypatch: pytest.MonkeyPatch) -> Transformer:
    torch.manual_seed(1)
    network = Transformer()
    monkeypatch.setattr(extract_maps, "build_classifier", lambda *_: network)
    return network


@torch.no_grad()
def seen(network: nn.Module, data: Data) -> tuple[ClassifierOutput, Tensor]:
    """What the network makes of the first image, and its class maps, (K, N)."""
    image = to_tensor(normalise(read_image(data.records[0]), **STATISTICS))[None]
    output = network(image)
    return output, output.class_maps[0, list(data.records[0].classes)].flatten(1)


def test_what_the_attention_makes_of_the_maps_is_stored_as_asked(
    tmp_path: Path, transformer: Transformer
) -> None:
    data = make_data(tmp_path, [(40, 52)], [(0, 2)])
    cams, attention = run(
        data, transformer, scales=[1.0], transcam=True, attention_direction="hand_on", cached_neighbours=130
    )
    output, cam = seen(transformer, data)
    blocks = output.attention[0]
    maps, lists = read_tensors(cams, "views"), read_tensors(attention, "attention")
    expected = {
        "tokens": output.token_maps[0, [0, 2]].flatten(1),
        "transcam": cam @ blocks.sum(0)[1:, 1:].t(),
        "attended": attended(cam.relu(), aggregate_attention(blocks), 2, direction="hand_on"),
    }
    for name, tensor in expected.items():
        found = maps[f"img0/{name}0"].float()
        assert found.shape[-2:] == (10, 13)
        torch.testing.assert_close(found.flatten(-2), tensor, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(lists["img0/token0"].float(), class_attention(blocks), rtol=1e-3, atol=1e-3)


def test_class_maps_of_tokens_are_stored_once_and_tscam_reads_them(tmp_path: Path) -> None:
    tiny = {"depth": 2, "embed_dim": 24, "num_heads": 2, "patch_size": 8, "img_size": 32}
    network = {"kind": "timm", "model": "vit_tiny_patch16_224", "arguments": tiny, **STATISTICS}
    torch.manual_seed(0)
    data = make_data(tmp_path, [(40, 52)], [(0, 2)])
    paths = {name: data.path(name) for name in ("cams", "attention")}
    extract_maps.run(
        manifest=data.manifest,
        weights=write_weights(data.path("weights"), build_classifier(network, 3)),
        **paths,
        network=network,
        views={**VIEWS, "scales": [1.0]},
        shard=SHARD,
    )
    with open_tensors(paths["cams"], "views") as shard:
        assert shard.params["token_maps"] == "cam"
        assert not any("/tokens" in name for name in shard.keys())  # noqa: SIM118
    made = {}
    for kind in ("tscam", "cam_attention"):
        maps, settings = data.path(kind), {"kind": kind}
        diffuse_cams.run(manifest=data.manifest, **paths, maps=maps, settings=settings, shard=SHARD)
        made[kind] = read_tensors(maps, "maps")["img0/maps"]
    assert made["tscam"].any() and torch.equal(made["tscam"], made["cam_attention"])


def test_nothing_is_stored_that_no_method_reads(tmp_path: Path, transformer: Transformer) -> None:
    transformer.gives = ("attention",)
    data = make_data(tmp_path, [(40, 52)], [(0, 2)])
    maps = read_tensors(run(data, transformer, scales=[1.0], attention_steps=0)[0], "views")
    assert sorted(maps) == ["img0/cam0", "img0/cam1", "img0/classes"]


def test_likeness_of_features_takes_the_place_of_attention(tmp_path: Path, transformer: Transformer) -> None:
    data = make_data(tmp_path, [(40, 52)], [(0, 2)])
    affinity = {"kind": "features", "beta": 1.2, "gamma": 3.0}
    cams, attention = run(data, transformer, scales=[1.0], affinity=affinity, cached_neighbours=130)
    output, cam = seen(transformer, data)
    matrix = feature_affinity(output.features[0], beta=1.2, gamma=3.0)
    lists, maps = read_tensors(attention, "attention"), read_tensors(cams, "views")
    expected = matrix.gather(1, lists["img0/neighbours0"].long())
    torch.testing.assert_close(lists["img0/values0"].float(), expected, rtol=1e-3, atol=1e-6)
    after = attended(cam.relu(), matrix, 2)
    torch.testing.assert_close(maps["img0/attended0"].float().flatten(2), after, rtol=1e-3, atol=1e-3)


def test_features_of_a_network_that_has_none_are_refused(tmp_path: Path, transformer: Transformer) -> None:
    transformer.gives = ("attention", "token_maps")
    with pytest.raises(ValueError, match=r"views\.affinity: expected a network that gives its tokens' feat"):
        run(make_data(tmp_path), transformer, affinity={"kind": "features", "beta": 1.2, "gamma": 3.0})
