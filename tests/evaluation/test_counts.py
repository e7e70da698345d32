"""Adding counts, and saying what was measured."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support import scenes
from wsss.artefacts.formats import ArtefactError, read_manifest, write_mask, write_tensors
from wsss.evaluation import counts as scoring


def write(path: Path, value: int, images: int = 1, **params: str) -> Path:
    scoring.write_counts(path, np.full((1, 2, 2), value), images, params)
    return path


def test_counts_of_shards_add_up_as_integers(tmp_path: Path) -> None:
    large = 2**40 + 1  # float32 would lose the 1
    total = scoring.add_counts([write(tmp_path / "a", large, 2), write(tmp_path / "b", 2, 3)])
    assert total.matrices.dtype == np.int64
    assert np.unique(total.matrices).tolist() == [large + 2]
    assert total.images == 5


def of_shard(shard: scoring.Shard) -> scoring.Counts:
    """Counts that tell the shard."""
    number = int(shard.name.partition("of")[0])
    more = {"values": np.array([number, 1])}
    return scoring.Counts(np.full((1, 2, 2), number), [0.5], 1, {"method": str(shard.file)}, more)


@pytest.mark.parametrize("threads", [1, 2])
def test_shards_are_counted_side_by_side_and_added(tmp_path: Path, threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        shards = [scoring.Shard(f"{number:03d}of005", "cam") for number in range(5)]
        scoring.count_shards(tmp_path / "counts", of_shard, shards, "counting")
    finally:
        torch.set_num_threads(before)
    total = scoring.add_counts([tmp_path / "counts"])
    assert total.matrices.dtype == np.int64 and np.unique(total.matrices).tolist() == [10]
    assert (total.images, total.thresholds, total.params) == (5, [0.5], {"method": "cam"})
    assert total.more["values"].tolist() == [10, 5]


def test_shards_of_one_job_made_in_different_ways_are_refused(tmp_path: Path) -> None:
    shards = [scoring.Shard("000of002", "cam"), scoring.Shard("001of002", "adcam")]
    with pytest.raises(ArtefactError, match=r"adcam: expected parameters .*'cam'.* found .*'adcam'"):
        scoring.count_shards(tmp_path / "counts", of_shard, shards, "counting")
    assert list(tmp_path.iterdir()) == []


def test_shards_made_in_different_ways_are_refused(tmp_path: Path) -> None:
    paths = [write(tmp_path / "a", 1, method="cam"), write(tmp_path / "b", 1, method="adcam")]
    with pytest.raises(ArtefactError, match=r"/b: expected parameters .*'cam'.* found .*'adcam'"):
        scoring.add_counts(paths)


def test_counts_cut_in_half_are_refused_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "counts.safetensors", 1)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ArtefactError, match=r"counts\.safetensors"):
        scoring.add_counts([path])


def test_no_counts_at_all_are_refused() -> None:
    with pytest.raises(ArtefactError, match="at least one shard"):
        scoring.add_counts([])


def test_a_missing_shard_is_noticed(tmp_path: Path) -> None:
    data = read_manifest(scenes.make_manifest(tmp_path))
    with pytest.raises(ArtefactError, match=r"expected counts of the 3 images .* found 2"):
        scoring.statement(data, "masked", 2, {"classifier": scenes.make_weights(tmp_path)})


def test_statement_says_what_was_measured(tmp_path: Path) -> None:
    data = read_manifest(scenes.make_manifest(tmp_path))
    stated = scoring.statement(data, "masked", 3, {"classifier": scenes.make_weights(tmp_path, seed=7)})
    assert stated["dataset"] == "tiny"
    assert (stated["split"], stated["images"], stated["run"]) == ("masked", 3, 7)
    assert stated["truth"] == [str(tmp_path / "masks")]
    assert stated["classes"] == ["background", "cat", "dog"]
    assert stated["initial_weights"]["classifier"]["file"] == "classifier.pth"
    assert stated["initial_supervision"] == {"classifier": "labels for classifier"}
    assert stated["pixel_labels_used"] is False


@pytest.mark.parametrize("seen", [None, "classifier", "irn", "segmenter"])
def test_pixel_labels_of_any_network_s_initial_weights_are_said(tmp_path: Path, seen: str | None) -> None:
    data = read_manifest(scenes.make_manifest(tmp_path))
    roles = ("classifier", "irn", "segmenter")
    weights = {role: scenes.make_weights(tmp_path, role, pixel_labels=role == seen) for role in roles}
    stated = scoring.statement(data, "masked", 3, weights)
    assert stated["pixel_labels_used"] is (seen is not None)
    assert {role: initial["file"] for role, initial in stated["initial_weights"].items()} == {
        role: f"{role}.pth" for role in roles
    }
    assert stated["initial_supervision"] == {role: f"labels for {role}" for role in roles}


def test_weights_that_do_not_say_what_they_have_seen_are_refused_by_name(tmp_path: Path) -> None:
    data = read_manifest(scenes.make_manifest(tmp_path))
    path = tmp_path / "silent.safetensors"
    write_tensors(path, "weights", {"w": torch.zeros(1)}, {"initial": {"supervision": "x"}, "seed": 0})
    with pytest.raises(ArtefactError, match=r"silent\.safetensors: expected .*pixel_labels"):
        scoring.statement(data, "masked", 3, {"classifier": path})


def test_truth_of_another_size_or_with_unknown_labels_is_refused(tmp_path: Path) -> None:
    record = read_manifest(scenes.make_manifest(tmp_path)).records[0]
    with pytest.raises(ArtefactError, match=r"0\.png: expected labels 0\.\.0 and 255, found 1"):
        scoring.read_truth(record, 1)
    write_mask(str(record.mask), scenes.truth(1).T)
    with pytest.raises(ArtefactError, match=r"0\.png: expected 12x8 pixels .* found 8x12"):
        scoring.read_truth(record, 3)


def test_scores_of_nothing_are_null() -> None:
    fields = scoring.score_fields(torch.zeros(2, 2, dtype=torch.int64), ["background", "cat"])
    assert fields["miou"] is None
    assert fields["per_class"][1] == {"class": "cat", "iou": None, "fp": None, "fn": None}


def test_score_fields_by_hand() -> None:
    fields = scoring.score_fields(torch.tensor([[5, 1], [2, 2]]), ["background", "cat"])
    assert fields["per_class"][1] == {"class": "cat", "iou": 0.4, "fp": 0.2, "fn": 0.4}
    assert fields["miou"] == pytest.approx((5 / 8 + 0.4) / 2)
    assert (fields["mean_fp"], fields["mean_fn"], fields["pixel_accuracy"]) == (0.2, 0.4, 0.7)
