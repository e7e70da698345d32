from pathlib import Path

import pytest
import torch

from tests.stages.builders import SHARD, STATISTICS, Data, make_data, write_maps, write_weights
from wsss.artefacts import ArtefactError, open_tensors, read_image, read_tensors
from wsss.data.transforms import normalise, to_tensor
from wsss.methods.affinity import random_walk
from wsss.methods.cam import upsample_maps
from wsss.models.irnet import IRNet, build_irnet, edge_map
from wsss.stages import walk_cams

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


def run(data: Data, network: IRNet, name: str = "walked") -> Path:
    walk_cams.run(
        manifest=data.manifest,
        maps=data.path("maps"),
        weights=write_weights(data.path("weights"), network),
        walked=data.path(name),
        network=NETWORK,
        walk=WALK,
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
        edge = edge_map(network, to_tensor(normalise(read_image(record), **STATISTICS)))
    expected = upsample_maps(random_walk(scores, edge, **WALK), 4, size)
    found = upsample_maps(read_tensors(run(data, network), "maps")[f"{record.id}/maps"].float(), 4, size)
    torch.testing.assert_close(found, expected / expected.max(), rtol=2e-3, atol=1e-3)
    peaks = found.amax((1, 2)).tolist()
    assert max(peaks) == pytest.approx(1, abs=1e-3)
    assert min(peaks) < 0.999


def test_the_walk_is_written_beside_how_the_maps_were_made(data: Data, network: IRNet) -> None:
    with open_tensors(run(data, network), "maps") as shard:
        assert shard.params == {"stride": 4, "walk": WALK}
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
