"""Counting class maps against the truth over a sweep of thresholds."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support import scenes
from wsss.artefacts.formats import (
    ArtefactError,
    open_tensors,
    read_manifest,
    read_mask,
    read_tensors,
    write_tensors,
)
from wsss.labelling.thresholds import sweep_values
from wsss.methods.cam import upsample_maps
from wsss.methods.labels import pseudo_labels
from wsss.methods.metrics import confusion
from wsss.methods.thresholds import RULES, STEPS, threshold_by, value_histogram
from wsss.stages.evaluate import count_seeds

SWEEP = {"start": 0.0, "stop": 0.6, "step": 0.1}


def run(folder: Path, shard: str, name: str = "counts") -> Path:
    manifest = scenes.make_manifest(folder)
    maps = scenes.make_maps(folder, read_manifest(manifest), shard)
    counts = folder / f"{name}_{shard}.safetensors"
    count_seeds.run(manifest=manifest, maps=[maps], counts=counts, thresholds=SWEEP, shards=[shard])
    return counts


@pytest.mark.parametrize("shard", scenes.SHARDS)
def test_counts_equal_a_loop_over_images_and_thresholds(shard: str, tmp_path: Path) -> None:
    tensors = read_tensors(run(tmp_path, shard), "counts")
    data = read_manifest(tmp_path / "manifest.jsonl")
    records = [record for record in data.shard("train", shard) if record.mask]
    expected = torch.zeros(7, 3, 3, dtype=torch.int64)
    with open_tensors(tmp_path / f"{shard}.safetensors", "maps") as maps:
        for record in records:
            scores = upsample_maps(maps.get(f"{record.id}/maps").float(), 4, scenes.SIZE)
            for row, threshold in enumerate(tensors["thresholds"].tolist()):
                cut = torch.cat([torch.full((1, *scenes.SIZE), threshold), scores]).argmax(0)
                labels = torch.tensor([0, *(index + 1 for index in record.classes)])[cut]
                expected[row] += torch.from_numpy(confusion(labels, read_mask(str(record.mask)), 3))
    assert torch.equal(tensors["counts"], expected)
    assert tensors["images"].tolist() == [len(records)]


def test_several_shards_in_one_job_are_the_sum_of_each(tmp_path: Path) -> None:
    apart = [read_tensors(run(tmp_path, shard), "counts") for shard in scenes.SHARDS]
    maps = [tmp_path / f"{shard}.safetensors" for shard in scenes.SHARDS]
    path, manifest = tmp_path / "both.safetensors", tmp_path / "manifest.jsonl"
    count_seeds.run(manifest=manifest, maps=maps, counts=path, thresholds=SWEEP, shards=scenes.SHARDS)
    both = read_tensors(path, "counts")
    assert set(both) == set(apart[0])
    for name in set(both) - {"thresholds"}:
        assert torch.equal(both[name], apart[0][name] + apart[1][name])


def count_uneven(folder: Path, shard: str) -> Path:
    """Counts of maps of many values, on which the rules find different thresholds."""
    run(folder, shard)
    path, counts = folder / f"{shard}.safetensors", folder / "uneven.safetensors"
    with open_tensors(path, "maps") as stored:
        params = stored.params
    ramp = torch.tensor([[0.9, 0.3, 0.25], [1.0, 0.2, 0.3]], dtype=torch.float16)
    tensors = {
        name: ramp.expand_as(value).contiguous() if name.endswith("/maps") else value
        for name, value in read_tensors(path, "maps").items()
    }
    write_tensors(path, "maps", tensors, params)
    manifest = folder / "manifest.jsonl"
    count_seeds.run(manifest=manifest, maps=[path], counts=counts, thresholds=SWEEP, shards=[shard])
    return counts


@pytest.mark.parametrize("rule", ["otsu", "half_maximum"])
@pytest.mark.parametrize("shard", scenes.SHARDS)
def test_rules_cut_each_image_at_its_own_threshold(shard: str, rule: str, tmp_path: Path) -> None:
    tensors = read_tensors(count_uneven(tmp_path, shard), "counts")
    data = read_manifest(tmp_path / "manifest.jsonl")
    expected, steps, values = torch.zeros(3, 3, dtype=torch.int64), [], 0
    with open_tensors(tmp_path / f"{shard}.safetensors", "maps") as maps:
        for record in data.shard("train", shard):
            stored = maps.get(f"{record.id}/maps")
            values += value_histogram(stored.numpy())
            if record.mask is None:
                continue
            label = np.zeros(scenes.SIZE, np.uint8)
            if record.classes:
                threshold = threshold_by(rule, value_histogram(stored.numpy()))
                steps.append(round(threshold * STEPS))
                scores = upsample_maps(stored.float(), 4, scenes.SIZE).numpy()
                label = pseudo_labels(scores, record.classes, threshold)
            expected += torch.from_numpy(confusion(label, read_mask(str(record.mask)), 3))
    place = list(RULES).index(rule)
    assert torch.equal(tensors["rules"][place], expected)
    assert tensors["rule_steps"][place].tolist() == [len(steps), sum(steps), sum(step**2 for step in steps)]
    assert steps and not torch.equal(*tensors["rule_steps"])  # the rules differ
    assert np.array_equal(tensors["values"].numpy(), values)
    assert all(tensors[name].dtype == torch.int64 for name in ("rules", "rule_steps", "values"))


def test_void_is_left_out_and_images_without_a_mask_are_not_counted(tmp_path: Path) -> None:
    counts = read_tensors(run(tmp_path, "001of002"), "counts")  # images 1 and 3; 3 has no mask
    assert counts["images"].tolist() == [1]
    assert counts["counts"].sum((1, 2)).tolist() == [8 * 12 - 1] * 7


def test_an_image_without_any_class_is_background_at_each_threshold(tmp_path: Path) -> None:
    counts = read_tensors(run(tmp_path, "000of002"), "counts")["counts"]  # images 0 and 2; 2 has no class
    assert bool((counts[:, :, 2] == 0).all())
    assert bool(counts[-1, 0, 0] >= 8 * 12 - 1)


def test_params_say_how_the_maps_were_made(tmp_path: Path) -> None:
    with open_tensors(run(tmp_path, "000of002"), "counts") as shard:
        assert shard.params["split"] == "masked"
        assert shard.params["thresholds"] == SWEEP
        assert shard.params["maps"]["views"] == scenes.VIEWS


def test_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    assert run(tmp_path, "000of002").read_bytes() == run(tmp_path, "000of002", "again").read_bytes()


def test_maps_of_other_images_are_refused_by_name(tmp_path: Path) -> None:
    maps = scenes.make_maps(tmp_path, read_manifest(scenes.make_manifest(tmp_path)), "001of002")
    with pytest.raises(ArtefactError, match=r"001of002\.safetensors"):
        count_seeds.run(
            manifest=tmp_path / "manifest.jsonl",
            maps=[maps],
            counts=tmp_path / "counts",
            thresholds=SWEEP,
            shards=["000of002"],
        )


def test_the_sweep_s_values_are_the_decimals_themselves() -> None:
    values = sweep_values({"start": 0.0, "stop": 0.99, "step": 0.01})
    assert values == [index / 100 for index in range(100)]
    np.testing.assert_allclose(sweep_values({"start": 0.1, "stop": 0.1, "step": 1}), [0.1])
    with pytest.raises(ValueError, match="step > 0"):
        sweep_values({"start": 0, "stop": 1, "step": 0})
