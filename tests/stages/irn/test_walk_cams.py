from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from tests.support.builders import SHARD, STATISTICS, Data, make_data, write_maps, write_weights
from tests.support.networks import build_irnet
from wsss.artefacts.formats import ArtefactError, open_tensors, read_image, read_tensors, write_tensors
from wsss.config.refiners import Walk
from wsss.data.transforms import normalise as pixels
from wsss.data.transforms import rescale, to_tensor
from wsss.methods.affinity import random_walk
from wsss.methods.cam import upsample_maps
from wsss.models.irnet import IRNet, edge_map
from wsss.stages.irn import walk_cams

BACKBONE = {"model": "resnet18", "arguments": {"channels": [8, 8, 16, 16]}, "output_stride": 16}
NETWORK = {"backbone": BACKBONE, "displacement": False, **STATISTICS}
WALK = {"radius": 5, "beta": 10, "log2_steps": 4}


@pytest.fixture
def data(tmp_path: Path) -> Data:
    made = make_data(tmp_path)
    write_maps(made, made.path("maps"))
    return made


@pytest.fixture
def network() -> IRNet:
    torch.manual_seed(0)
    return build_irnet(NETWORK).eval()


def run(data: Data, network: IRNet, name: str = "walked", **more: Any) -> Path:
    walk_cams.run(
        manifest=data.manifest,
        maps=data.path("maps"),
        weights=write_weights(data.path("weights"), network),
        walked=data.path(name),
        network=NETWORK,
        walk={**WALK, **more},
        shard=SHARD,
    )
    return data.path(name)


def test_maps_are_walked_on_their_grid(data: Data, network: IRNet) -> None:
    maps = read_tensors(data.path("maps"), "maps")
    walked = read_tensors(run(data, network), "maps")
    assert walked.keys() == maps.keys()
    for record in data.records:
        assert walked[f"{record.id}/maps"].shape == maps[f"{record.id}/maps"].shape
        assert walked[f"{record.id}/maps"].dtype == torch.float16
        assert walked[f"{record.id}/classes"].equal(maps[f"{record.id}/classes"])


def test_an_images_maps_are_divided_by_one_maximum(data: Data, network: IRNet) -> None:
    record = data.records[1]
    size = (record.height, record.width)
    scores = read_tensors(data.path("maps"), "maps")[f"{record.id}/maps"].float()
    with torch.no_grad():
        edge = edge_map(network, to_tensor(pixels(read_image(record), **STATISTICS)))
    expected = upsample_maps(random_walk(scores, edge, **WALK), 4, size)
    found = upsample_maps(read_tensors(run(data, network), "maps")[f"{record.id}/maps"].float(), 4, size)
    torch.testing.assert_close(found, expected / expected.max(), rtol=2e-3, atol=1e-3)
    peaks = found.amax((1, 2)).tolist()
    assert max(peaks) == pytest.approx(1, abs=1e-3)
    assert min(peaks) < 0.999


def walked(data: Data, network: IRNet, name: str, **more: Any) -> dict[str, torch.Tensor]:
    return read_tensors(run(data, network, name, **more), "maps")


@pytest.mark.parametrize("normalise", ["mass", "mean"])
def test_the_walk_is_normalised_as_asked(data: Data, network: IRNet, normalise: str) -> None:
    record = data.records[0]
    size = (record.height, record.width)
    scores = read_tensors(data.path("maps"), "maps")[f"{record.id}/maps"].float()
    with torch.no_grad():
        edge = edge_map(network, to_tensor(pixels(read_image(record), **STATISTICS)))
    expected = random_walk(scores, edge, **WALK, normalise=normalise)
    expected = expected / upsample_maps(expected, 4, size).max()
    found = walked(data, network, normalise, normalise=normalise)[f"{record.id}/maps"].float()
    torch.testing.assert_close(found, expected, rtol=2e-3, atol=1e-3)


def test_a_constant_map_stays_constant_by_means(data: Data, network: IRNet) -> None:
    maps = {
        name: torch.full_like(value, 0.5) if name.endswith("/maps") else value
        for name, value in read_tensors(data.path("maps"), "maps").items()
    }
    write_tensors(data.path("maps"), "maps", maps, {"stride": 4})
    for long_side in (None, 72):
        found = walked(data, network, f"at{long_side}", normalise="mean", long_side=long_side)
        for record in data.records:
            torch.testing.assert_close(
                found[f"{record.id}/maps"].float(), torch.ones_like(maps[f"{record.id}/maps"].float())
            )


def test_the_image_s_own_size_as_working_size_changes_nothing(data: Data, network: IRNet) -> None:
    plain = walked(data, network, "plain")
    null = walked(data, network, "null", long_side=None)
    assert null.keys() == plain.keys() and all(torch.equal(null[name], plain[name]) for name in plain)
    for long_side in (52, 45, 44):  # those of the images
        found = walked(data, network, f"at{long_side}", long_side=long_side)
        for record in data.records:
            same = torch.equal(found[f"{record.id}/maps"], plain[f"{record.id}/maps"])
            assert same == (max(record.height, record.width) == long_side or not record.classes)


def test_a_working_size_is_where_the_image_is_seen_and_walked(data: Data, network: IRNet) -> None:
    record, long_side = data.records[1], 104  # twice its long side: 80 x 104 pixels, 20 x 26 cells
    scores = read_tensors(data.path("maps"), "maps")[f"{record.id}/maps"].float()
    picture = rescale(read_image(record), 2)
    with torch.no_grad():
        edge = edge_map(network, to_tensor(pixels(picture, **STATISTICS)))
    assert edge.shape == (20, 26)
    large = F.interpolate(scores[None], (20, 26), mode="bilinear", align_corners=False)[0]
    back = F.interpolate(random_walk(large, edge, **WALK)[None], (10, 13), mode="bilinear")[0]
    expected = back / upsample_maps(back, 4, (record.height, record.width)).max()
    found = walked(data, network, "large", long_side=long_side)[f"{record.id}/maps"].float()
    torch.testing.assert_close(found, expected, rtol=2e-3, atol=1e-3)


def test_the_walk_is_written_beside_how_the_maps_were_made(data: Data, network: IRNet) -> None:
    with open_tensors(run(data, network), "maps") as shard:
        assert shard.params == {"stride": 4, "walk": Walk(**WALK).model_dump()}
        assert set(shard.inputs) == {"manifest", "maps", "weights"}


def test_same_input_gives_the_same_bytes(data: Data, network: IRNet) -> None:
    assert run(data, network, "first").read_bytes() == run(data, network, "second").read_bytes()


def test_weights_for_other_classes_are_refused(data: Data, network: IRNet) -> None:
    write_weights(data.path("other"), network, ["cow"])
    with pytest.raises(ArtefactError, match="other: expected a network for the classes"):
        walk_cams.run(
            manifest=data.manifest,
            maps=data.path("maps"),
            weights=data.path("other"),
            walked=data.path("walked"),
            network=NETWORK,
            walk=WALK,
            shard=SHARD,
        )
