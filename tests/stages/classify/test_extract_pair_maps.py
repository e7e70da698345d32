"""Maps and attention of a pair through the stage: what its two networks make, from one weights file."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.support.builders import SHARD, STATISTICS, Data, make_data, write_weights
from tests.support.networks import build_classifier
from wsss.artefacts.formats import open_tensors, read_image, read_tensors
from wsss.data.transforms import normalise, rescale, to_tensor
from wsss.methods.attention import aggregate_attention
from wsss.stages.classify import extract_maps

VIT = {
    "model": "vit_small_patch14_reg4_dinov2",
    "arguments": {"depth": 2, "embed_dim": 48, "num_heads": 3, "img_size": 28},
    "learns": False,
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
}
CNN = {"model": "resnet18", "arguments": {"channels": [8, 16, 24, 32]}, "output_stride": 8}
NETWORK: dict[str, Any] = {"kind": "pair", "cnn": CNN, "vit": VIT, **STATISTICS}
VIEWS = {"scales": [1.0, 0.5], "mirror": True, "cached_neighbours": 0.5, "attention_steps": 2}


@pytest.fixture
def pair() -> nn.Module:
    torch.manual_seed(0)
    return build_classifier(NETWORK, 3)


def run(data: Data, network: nn.Module, name: str = "") -> tuple[Path, Path]:
    cams, attention = data.path(f"{name}cams"), data.path(f"{name}attention")
    extract_maps.run(
        manifest=data.manifest,
        weights=write_weights(data.path("weights"), network),
        cams=cams,
        attention=attention,
        network=NETWORK,
        views=VIEWS,
        shard=SHARD,
    )
    return cams, attention


def test_maps_are_the_cnns_and_neighbours_the_transformers(tmp_path: Path, pair: nn.Module) -> None:
    data = make_data(tmp_path, [(40, 52)], [(0, 2)])
    cams, attention = run(data, pair)
    maps, lists = read_tensors(cams, "views"), read_tensors(attention, "attention")
    with open_tensors(cams, "views") as shard:
        assert shard.params["stride"] == 8
    for view, (scale, flip) in enumerate([(1.0, False), (1.0, True), (0.5, False), (0.5, True)]):
        image = to_tensor(normalise(rescale(read_image(data.records[0]), scale), **STATISTICS))[None]
        with torch.no_grad():
            output = pair.eval()(image.flip(-1) if flip else image)
        cells = output.class_maps[0, 0].numel()
        torch.testing.assert_close(
            maps[f"img0/cam{view}"].float(), output.class_maps[0, [0, 2]], rtol=2e-3, atol=1e-4
        )
        index = lists[f"img0/neighbours{view}"].long()
        expected = aggregate_attention(output.attention[0]).gather(1, index)
        assert index.shape == (cells, round(0.5 * cells))
        torch.testing.assert_close(lists[f"img0/values{view}"].float(), expected, rtol=2e-3, atol=1e-5)


def test_an_interrupted_shard_goes_on_and_has_the_same_bytes(
    tmp_path: Path, pair: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_data(tmp_path)
    whole = [path.read_bytes() for path in run(data, pair, "whole")]
    extract, done = extract_maps._extract, []

    def failing(*arguments: Any) -> Any:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(arguments)
        return extract(*arguments)

    monkeypatch.setattr(extract_maps, "_extract", failing)
    with pytest.raises(KeyboardInterrupt):
        run(data, pair, "cut")
    again: list[Any] = []
    monkeypatch.setattr(extract_maps, "_extract", lambda *given: again.append(given) or extract(*given))
    assert [path.read_bytes() for path in run(data, pair, "cut")] == whole
    assert len(done) == len(again) == 2  # two sizes at two scales
