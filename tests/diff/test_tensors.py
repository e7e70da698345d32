"""Differences of tensors: hand cases, another implementation, bounded memory."""

import gc
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.support.memory import Peak
from wsss.artefacts.formats import write_tensors
from wsss.diff.tensors import compare_counts, compare_maps, compare_tensors, rank_correlation


def one(path: Path, form: str, tensors: Mapping[str, Tensor]) -> dict[str, Path]:
    """A single file as a side of a comparison."""
    write_tensors(path, form, tensors)
    return {"": path}


def maps_of(
    images: Mapping[str, Tensor], classes: Mapping[str, list[int]] | None = None
) -> dict[str, Tensor]:
    """Class maps (K, h, w) in the form that is stored; the classes are 0, 1, ... unless given."""
    tensors = {f"{image}/maps": maps for image, maps in images.items()}
    for image, maps in images.items():
        labels = (classes or {}).get(image, [*range(len(maps))])
        tensors[f"{image}/classes"] = torch.tensor(labels, dtype=torch.int64)
    return tensors


def cut(folder: Path, tensors: Mapping[str, Tensor], images: list[str], count: int) -> dict[str, Path]:
    """The same maps in a number of shards, every n-th image in each."""
    parts = {}
    for shard in range(count):
        name = f"{shard:03d}of{count:03d}"
        part = {
            key: value for key, value in tensors.items() if key.rpartition("/")[0] in images[shard::count]
        }
        parts[name] = one(folder / f"{name}.safetensors", "maps", part)[""]
    return parts


def test_weights_by_hand(tmp_path: Path) -> None:
    a = one(tmp_path / "a.safetensors", "weights", {"x": torch.tensor([1.0, 2.0]), "n": torch.tensor(3)})
    b = one(tmp_path / "b.safetensors", "weights", {"x": torch.tensor([1.0, 2.5]), "n": torch.tensor(3)})
    found = compare_tensors(a, b, "weights")
    assert not found.same
    amounts = found.amounts
    assert (amounts["largest"], amounts["largest_in"]) == (0.5, "x")
    assert amounts["mean"] == pytest.approx(0.5 / 3)
    assert amounts["mean_relative"] == pytest.approx(0.5 / 6)
    assert found.text == (
        "weights largest 0.5 (x), mean 0.167, 8.33 % of the mean value, 33.3 % of the entries"
    )
    assert compare_tensors(a, a, "weights").same


def test_weights_of_another_network_are_told(tmp_path: Path) -> None:
    a = one(
        tmp_path / "a.safetensors", "weights", {"x": torch.zeros(2), "y": torch.zeros(2), "z": torch.ones(1)}
    )
    b = one(tmp_path / "b.safetensors", "weights", {"x": torch.zeros(3), "z": torch.ones(1)})
    found = compare_tensors(a, b, "weights")
    assert not found.same
    assert found.notes == ["1 tensor only in A", "1 tensor of another shape"]


def test_what_is_no_number_is_equal_to_itself_only(tmp_path: Path) -> None:
    values = torch.tensor([torch.nan, torch.inf, 1.0])
    a = one(tmp_path / "a.safetensors", "weights", {"x": values})
    b = one(tmp_path / "b.safetensors", "weights", {"x": torch.tensor([torch.nan, torch.inf, torch.nan])})
    assert compare_tensors(a, a, "weights").same
    found = compare_tensors(a, b, "weights")
    assert not found.same
    assert "inf" in found.text


def test_rank_correlation_by_hand() -> None:
    rising = torch.tensor([0.1, 0.2, 0.3, 0.4])
    assert rank_correlation(rising, rising**3) == pytest.approx(1)
    assert rank_correlation(rising, -rising) == pytest.approx(-1)
    # ranks 1 2 3 4 against 1 3 2 4: 1 - 6 * 2 / (4 * 15)
    assert rank_correlation(rising, torch.tensor([1.0, 3.0, 2.0, 4.0])) == pytest.approx(0.8)
    assert rank_correlation(rising, torch.ones(4)) is None
    assert rank_correlation(torch.zeros(0, 2, 2), torch.zeros(0, 2, 2)) is None


def test_maps_by_hand(tmp_path: Path) -> None:
    rising = torch.arange(4.0).reshape(1, 2, 2).half() / 4
    a = maps_of({"p/x": rising, "y": rising, "z": rising})
    b = maps_of({"p/x": rising, "y": rising + 0.25, "z": 0.75 - rising})
    found = compare_maps(
        one(tmp_path / "a.safetensors", "maps", a), one(tmp_path / "b.safetensors", "maps", b)
    )
    assert found.amounts["mean"] == pytest.approx((0 + 0.25 + 0.5) / 3)
    assert found.amounts["largest"] == 0.75
    assert found.amounts["rank_correlation"] == pytest.approx((1 + 1 - 1) / 3)
    assert list(found.worst.items()) == [("z", 0.5), ("y", 0.25)]
    assert "worst z (0.5)" in found.text


def test_maps_of_other_classes_are_compared_where_they_share_them(tmp_path: Path) -> None:
    flat = torch.full((2, 2, 2), 0.5).half()
    a = maps_of({"x": flat, "y": flat[:1]}, {"x": [1, 4], "y": [2]})
    b = maps_of({"x": flat * 0.5, "y": flat[:1]}, {"x": [4, 7], "y": [3]})
    found = compare_maps(
        one(tmp_path / "a.safetensors", "maps", a), one(tmp_path / "b.safetensors", "maps", b)
    )
    assert found.amounts["mean"] == 0.25
    assert found.notes == ["1 image of another shape"]
    assert found.amounts["images"] == 1


def test_the_way_of_cutting_makes_no_difference(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    images = [f"i{number}" for number in range(7)]
    sides = [maps_of({image: torch.rand(2, 3, 4, generator=generator) for image in images}) for _ in range(2)]
    a = cut(tmp_path / "a", sides[0], images, 2)
    alike, otherwise = (cut(tmp_path / f"b{count}", sides[1], images, count) for count in (2, 3))
    found, again = compare_maps(a, alike), compare_maps(a, otherwise)
    assert found.worst == again.worst
    assert found.amounts["mean"] == pytest.approx(again.amounts["mean"])
    assert compare_maps(a, cut(tmp_path / "c", sides[0], images, 3)).same


def test_a_missing_shard_is_told_by_its_images(tmp_path: Path) -> None:
    images = [f"i{number}" for number in range(7)]
    tensors = maps_of({image: torch.zeros(1, 2, 2) for image in images})
    whole = cut(tmp_path / "a", tensors, images, 2)
    found = compare_maps(whole, {"001of002": whole["001of002"]})
    assert not found.same
    assert found.notes == ["4 images only in A"]


def test_views_by_kind(tmp_path: Path) -> None:
    a = {
        "x/neighbours0": torch.tensor([[1, 2], [3, 4]], dtype=torch.uint16),
        "x/values0": torch.ones(2, 2).half(),
    }
    b = {
        "x/neighbours0": torch.tensor([[1, 2], [3, 9]], dtype=torch.uint16),
        "x/values0": torch.ones(2, 2).half(),
    }
    sides = [one(tmp_path / f"{name}.safetensors", "attention", side) for name, side in (("a", a), ("b", b))]
    found = compare_tensors(*sides, "attention")
    assert found.amounts["neighbours"]["share_differing"] == 0.25
    assert found.amounts["values"]["largest"] == 0
    assert found.text == "neighbours 25 % of the entries"


def test_counts_are_added_across_shards(tmp_path: Path) -> None:
    parts = [torch.tensor([[[5, 1], [0, 4]]]), torch.tensor([[[5, 0], [1, 4]]])]
    a = {
        f"{shard:03d}of002": one(tmp_path / f"a{shard}.safetensors", "counts", {"counts": part})[""]
        for shard, part in enumerate(parts)
    }
    b = one(tmp_path / "b.safetensors", "counts", {"counts": torch.tensor([[[10, 1], [1, 8]]])})
    assert compare_counts(a, b).same
    b = one(tmp_path / "b.safetensors", "counts", {"counts": torch.tensor([[[9, 2], [1, 8]]])})
    assert compare_counts(a, b).amounts["share_moved"] == pytest.approx(1 / 20)
    other = one(tmp_path / "c.safetensors", "counts", {"counts": torch.zeros(3, 2, 2, dtype=torch.int64)})
    assert "not comparable" in compare_counts(a, other).notes[0]


def peak_of_maps(folder: Path, count: int) -> int:
    """Most bytes that the tensors of a comparison hold at once."""
    generator = torch.Generator().manual_seed(0)
    images = {f"i{number:03d}": torch.rand(3, 40, 40, generator=generator).half() for number in range(count)}
    a = one(folder / f"a{count}.safetensors", "maps", maps_of(images))
    b = one(
        folder / f"b{count}.safetensors", "maps", maps_of({name: 1 - maps for name, maps in images.items()})
    )
    del images
    gc.collect()
    with Peak() as peak:
        compare_maps(a, b)
    return peak.bytes


def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    few, many = peak_of_maps(tmp_path, 2), peak_of_maps(tmp_path, 12)
    assert many <= few * 1.01


def test_memory_of_weights_is_that_of_the_largest_tensor(tmp_path: Path) -> None:
    peaks = []
    for count in (2, 20):
        tensors = {f"layer{number}": torch.rand(100, 100) for number in range(count)}
        sides = [one(tmp_path / f"{side}.safetensors", "weights", tensors) for side in "ab"]
        with Peak() as peak:
            compare_tensors(*sides, "weights")
        peaks.append(peak.bytes)
    assert peaks[1] <= peaks[0] * 1.01


def test_arrays_are_float64_inside(tmp_path: Path) -> None:
    a, b = torch.full((1000,), 0.1).half(), torch.full((1000,), 0.1).half()
    b[0] = float(np.nextafter(np.float16(0.1), np.float16(1)))
    sides = [
        one(tmp_path / f"{name}.safetensors", "weights", {"x": side}) for name, side in (("a", a), ("b", b))
    ]
    found = compare_tensors(*sides, "weights")
    assert found.amounts["mean"] == pytest.approx(float(b[0] - a[0]) / 1000, rel=1e-9)
