"""What reruns where class maps alone are kept, by real runs of the smallest systems up to pseudo labels."""

import re
import shutil
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from tests.support.tiny_run import copy_checkout, run
from wsss.artefacts.formats import read_tensors
from wsss.artefacts.identity import content_digest, read_header

SHARDS = ("000of002", "001of002")
CHAIN = "results/sample/run0/tiny"
FOLLOWING = ("count_values", "choose_threshold", "make_pseudo_labels")


class Place(NamedTuple):
    """A copy of the sources, and a folder that runs work in."""

    checkout: Path
    folder: Path

    def run(self, *arguments: str | Path, methods: tuple[str, ...] = ("adcam",), keep: str = "maps") -> str:
        """Make pseudo labels of some methods; returns what was printed."""
        overlay = self.folder / f"{keep}.yaml"
        overlay.write_text(yaml.safe_dump({"datasets": {"sample": {"keep": keep, "shards": 2}}}))
        tiny = self.checkout / "tests/configs/tiny.yaml"
        extra = sorted(self.folder.glob("changed.yaml"))
        targets = [f"{CHAIN}/{method}/none/pseudo/{shard}.jsonl" for method in methods for shard in SHARDS]
        options = ("--cores", "2", "--configfile", tiny, overlay, *extra, *arguments)
        return run(self.checkout, self.folder, *options, "--", *targets)

    def planned(self, methods: tuple[str, ...] = ("adcam",), keep: str = "maps") -> dict[str, int]:
        """How many jobs of each rule would run."""
        said = self.run("-n", "--quiet", "rules", methods=methods, keep=keep)
        return {
            rule: int(number) for rule, number in re.findall(r"(?m)^(\w+) +(\d+)$", said) if rule != "total"
        }

    def change(self, **settings: object) -> None:
        """Lay settings of the classifier over the others."""
        (self.folder / "changed.yaml").write_text(yaml.safe_dump({"classifiers": {"tiny": settings}}))

    def maps(self, method: str = "adcam") -> list[Path]:
        return [self.folder / f"{CHAIN}/{method}/none/maps/{shard}.safetensors" for shard in SHARDS]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A finished run, for reading only."""
    checkout = copy_checkout(tmp_path_factory.mktemp("checkout"))
    place = Place(checkout, tmp_path_factory.mktemp("finished"))
    place.run()
    return place


@pytest.fixture
def place(finished: Place, tmp_path: Path) -> Place:
    """A copy of it, dates and records included, to change."""
    shutil.copytree(finished.checkout, tmp_path / "checkout")
    shutil.copytree(finished.folder, tmp_path / "folder")
    return Place(tmp_path / "checkout", tmp_path / "folder")


def ran(said: str) -> Counter[str]:
    """How many jobs of each rule ran."""
    return Counter(re.findall(r"(?m)^(?:local)?rule (\w+):$", said))


def test_no_views_are_left(finished: Place) -> None:
    chain = finished.folder / CHAIN
    assert sorted(path.name for path in chain.iterdir() if path.is_dir()) == ["adcam", "events"]
    assert sorted((chain / "adcam/none/maps").iterdir()) == finished.maps()


def test_a_finished_run_has_nothing_to_do(finished: Place) -> None:
    assert finished.planned() == {}


def test_the_maps_are_those_of_the_cache(finished: Place, place: Place) -> None:
    for path in place.maps():
        path.unlink()
    said = ran(place.run(keep="attention"))
    assert (said["extract_maps"], said["diffuse_cams"], said["make_maps"]) == (2, 2, 0)
    for cached, alone in zip(place.maps(), finished.maps(), strict=True):
        assert read_tensors(cached, "maps").keys() == read_tensors(alone, "maps").keys()
        assert content_digest(cached) == content_digest(alone)


def test_another_method_runs_the_network_again_and_no_job_of_the_first(place: Place) -> None:
    before = [path.read_bytes() for path in place.maps()]
    both = ("adcam", "adcam_t1")
    assert ran(place.run(methods=both)) == {"make_maps": 2, "make_pseudo_labels": 2}
    assert [path.read_bytes() for path in place.maps()] == before
    assert place.planned(methods=both) == {}


def test_other_views_make_maps_and_labels_anew(place: Place) -> None:
    place.change(views={"scales": [1.0, 0.5]})
    assert ran(place.run()) == {"make_maps": 2, "make_pseudo_labels": 2}
    assert read_header(place.maps()[0])["params"]["views"]["scales"] == [1.0, 0.5]
    assert place.planned() == {}


def test_another_training_makes_maps_and_labels_anew(place: Place) -> None:
    before = [content_digest(path) for path in place.maps()]
    place.change(training={"vit_lr": 1.0e-3})
    assert ran(place.run()) == {"train_classifier": 1, "make_maps": 2, "make_pseudo_labels": 2}
    assert not set(before) & {content_digest(path) for path in place.maps()}
    assert place.planned() == {}


@pytest.mark.parametrize("edited", ["stages/classify/extract_maps.py", "stages/cam/diffuse_cams.py"])
def test_other_code_makes_maps_and_labels_anew(place: Place, edited: str) -> None:
    source = place.checkout / "wsss" / edited
    source.write_text(source.read_text().replace("log.info(", "log.warning("))
    assert place.planned() == {"make_maps": 2, "make_pseudo_labels": 2}


def test_lost_maps_are_made_anew_and_nothing_before_them(place: Place) -> None:
    place.maps()[0].unlink()
    shutil.rmtree(place.folder / f"{CHAIN}/adcam/none/pseudo")
    assert place.planned() == {"make_maps": 1, "make_pseudo_labels": 2}


@pytest.mark.parametrize("touched", ["attention"])
def test_finished_maps_stay_where_another_way_to_make_them_is_chosen(place: Place, touched: str) -> None:
    place.run("--touch", keep=touched)
    assert place.planned(keep=touched) == {}
