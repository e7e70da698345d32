"""The table of faults in docs/operations.md: each row is a test, and its messages are what a user sees.

A test here takes the quoted messages from its own row, so the page and the program cannot drift apart.
"""

import copy
import importlib.util
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from snakemake.iocontainers import Namedlist
from torch.utils.data import DataLoader, Dataset

from tests.support.builders import Data, write_maps
from tests.support.datasets import folder_set, mask, picture
from tests.support.faults import TESTS, exists, functions, program_texts, shows, table
from tests.support.settings import CONFIG
from wsss.artefacts.formats import ArtefactError, read_manifest
from wsss.config.errors import ConfigError
from wsss.config.reading import resolved
from wsss.training_methods import tags
from wsss.workflow.plan import Plan

ROOT = Path(__file__).parent.parent
TINY = yaml.safe_load((ROOT / "tests/configs/tiny.yaml").read_text())["classifiers"]["tiny"]
SHARD = "000of001"
Terminal = Callable[..., str]


def test_each_row_is_shown_by_a_test() -> None:
    rows = table()
    assert len({row.fault for row in rows}) == len(rows) > 15
    assert all(row.sees and row.kept and row.tests for row in rows)
    assert [test for row in rows for test in row.tests if not exists(test)] == []


def showing() -> set[str]:
    """The tests that compare the messages of their row with what a user sees."""
    return {
        f"{file.relative_to(TESTS)}::{function.name}"
        for file in TESTS.rglob("test_*.py")
        for function in functions(file)
        if "quoted" in [argument.arg for argument in function.args.args]
    }


def test_each_test_that_reads_its_row_has_one() -> None:
    compared = showing()
    assert len(compared) > 10
    assert compared <= {test for row in table() for test in row.tests}


def test_the_other_rows_quote_the_program_s_own_words() -> None:
    texts, compared = program_texts(), showing()
    others = [row for row in table() if compared.isdisjoint(row.tests)]
    messages = [message for row in others for message in row.messages()]
    parts = [part.strip(" :,") for message in messages for part in message.split("…")]
    assert len(parts) > 10
    assert [part for part in parts if not any(part in text for text in texts)] == []


def test_a_message_is_found_however_its_lines_are_broken() -> None:
    assert shows("a  shard:\n cut in\nhalf", "a shard: … half")
    assert not shows("a shard: cut", "a shard: … half")


# ---------------------------------------------------------------------------------------- a failing stage


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """``rules/run_stage.py`` as a module; what it sets in the process is undone."""
    spec = importlib.util.spec_from_file_location("run_stage", ROOT / "rules" / "run_stage.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    root = logging.getLogger()
    handlers, level, threads = list(root.handlers), root.level, torch.get_num_threads()
    yield module
    root.handlers, root.level = handlers, level
    logging.captureWarnings(False)
    torch.set_num_threads(threads)


@pytest.fixture
def terminal(
    runner: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Terminal:
    """Run a rule as its job does, in ``tmp_path``; returns what the terminal shows of its failure, or ''."""
    monkeypatch.chdir(tmp_path)

    def run(rule: str, files: dict[str, Any], outputs: dict[str, Any], **params: Any) -> str:
        job = SimpleNamespace(
            rule=rule,
            threads=1,
            resources=SimpleNamespace(gpu=0),
            log=[f"{rule}.log"],
            config={},
            scriptdir=ROOT / "rules",
        )
        groups = {"input": files, "output": outputs, "params": params, "wildcards": {}}
        for name, values in groups.items():
            setattr(job, name, Namedlist(fromdict=values))
        capsys.readouterr()
        try:
            runner.main(job)
        except Exception as error:
            sys.excepthook(type(error), error, error.__traceback__)
            return capsys.readouterr().err
        return ""

    return run


@pytest.fixture
def pets(terminal: Terminal, tmp_path: Path) -> Callable[[], str]:
    """A small data set of the kind folder, and its check: gives what the terminal shows."""
    settings = {**folder_set(tmp_path), "root": ".", "classes": ["cat", "dog"]}

    def prepare() -> str:
        return terminal(
            "prepare_manifest", {}, {"manifest": "manifest.jsonl"}, dataset="pets", settings=settings
        )

    return prepare


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file of a folder but the logs."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".log"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def cut(path: Path) -> None:
    """Keep the first half of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


# --------------------------------------------------------------------------------------------- the data set


def refuses(pets: Callable[[], str], folder: Path) -> str:
    """What the check of a spoilt data set says; it writes nothing."""
    before = files_of(folder)
    output = pets()
    assert files_of(folder) == before
    assert "Traceback" not in output
    return output


def test_a_missing_image(pets: Callable[[], str], tmp_path: Path, quoted: Callable[[str], None]) -> None:
    (tmp_path / "images/a.jpg").unlink()
    quoted(refuses(pets, tmp_path))


def test_a_truncated_image(pets: Callable[[], str], tmp_path: Path, quoted: Callable[[str], None]) -> None:
    cut(tmp_path / "images/a.jpg")
    quoted(refuses(pets, tmp_path))


def test_an_image_without_labels(
    pets: Callable[[], str], tmp_path: Path, quoted: Callable[[str], None]
) -> None:
    picture(tmp_path / "images/c.jpg")
    quoted(refuses(pets, tmp_path))


def test_an_unknown_class(pets: Callable[[], str], tmp_path: Path, quoted: Callable[[str], None]) -> None:
    (tmp_path / "labels.csv").write_text("id,class\na,cat\nb,dog\nb,wolf\n")
    quoted(refuses(pets, tmp_path))


def test_a_mask_of_another_size(
    pets: Callable[[], str], tmp_path: Path, quoted: Callable[[str], None]
) -> None:
    mask(tmp_path / "masks/a.png", (6, 7))
    quoted(refuses(pets, tmp_path))


def test_an_image_of_32_bits(pets: Callable[[], str], tmp_path: Path, quoted: Callable[[str], None]) -> None:
    Image.fromarray(np.full((6, 8), 70000, np.int32)).save(tmp_path / "images/a.jpg", format="TIFF")
    quoted(refuses(pets, tmp_path))


def test_a_mask_with_a_value_that_is_no_class(
    pets: Callable[[], str], tmp_path: Path, quoted: Callable[[str], None]
) -> None:
    mask(tmp_path / "masks/a.png", label=9)
    quoted(refuses(pets, tmp_path))


def test_a_mended_data_set_goes_on(pets: Callable[[], str], tmp_path: Path) -> None:
    whole = (tmp_path / "images/a.jpg").read_bytes()
    cut(tmp_path / "images/a.jpg")
    assert "unreadable image" in pets()
    (tmp_path / "images/a.jpg").write_bytes(whole)
    assert pets() == ""
    assert len(read_manifest(tmp_path / "manifest.jsonl").records) == 2


# ------------------------------------------------------------------------------------ weights and trainings


@pytest.fixture
def training(terminal: Terminal, pets: Callable[[], str], tmp_path: Path) -> Callable[..., str]:
    """Train a tiny classifier on the pets; gives what the terminal shows."""
    assert pets() == ""

    def train(initial: dict[str, Any] | None = None) -> str:
        outputs = {"weights": "run/weights.safetensors", "history": "run/history.csv"}
        settings = {"network": TINY["network"], "training": TINY["training"], "seed": 0}
        return terminal(
            "train_classifier",
            {"manifest": "manifest.jsonl"},
            outputs,
            initial=initial or TINY["initial"],
            **settings,
        )

    return train


def test_weights_with_another_digest(
    training: Callable[..., str], tmp_path: Path, quoted: Callable[[str], None]
) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/net.safetensors").write_bytes(b"another network")
    file = {"file": "weights/net.safetensors", "sha256": "0" * 64}
    output = training({**TINY["initial"], **file})
    quoted(output)
    assert "Traceback" not in output
    assert not (tmp_path / "run").exists()


def test_an_image_replaced_after_the_check(
    training: Callable[..., str], tmp_path: Path, quoted: Callable[[str], None]
) -> None:
    picture(tmp_path / "images/a.jpg", (9, 9))
    output = training()
    quoted(output)
    assert "Traceback" not in output
    assert not (tmp_path / "run/weights.safetensors").exists()


class Torn(Dataset[int]):
    """A data set whose images were replaced."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        raise ArtefactError("a.jpg: expected 8x6 pixels as in the manifest,\nfound 9x9")


def test_an_error_in_a_loading_process_is_one_message(
    runner: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runner.set_logging("train_irn", str(tmp_path / "train_irn.log"))
    runner.report_failures("train_irn")
    with pytest.raises(ArtefactError) as torn:
        next(iter(DataLoader(Torn(), num_workers=1)))
    sys.excepthook(torn.type, torn.value, torn.tb)
    message = "train_irn: a.jpg: expected 8x6 pixels as in the manifest,\nfound 9x9\n"
    assert capsys.readouterr().err == message


def test_a_gpu_without_memory(
    training: Callable[..., str],
    tmp_path: Path,
    quoted: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lose(network: Any, batch: Any) -> Any:
        raise torch.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 11.00 MiB free."
        )

    with monkeypatch.context() as losing:
        losing.setattr(tags, "tag_losses", lose)
        output = training()
    quoted(output)
    assert "Traceback" not in output
    assert "Traceback" in (tmp_path / "train_classifier.log").read_text()
    assert not (tmp_path / "run/weights.safetensors").exists()
    assert training() == ""
    assert (tmp_path / "run/weights.safetensors").exists()


# ------------------------------------------------------------------------------------------ damaged results


@pytest.fixture
def maps(pets: Callable[[], str], tmp_path: Path) -> Path:
    """A shard of class maps of the pets."""
    assert pets() == ""
    records = read_manifest(tmp_path / "manifest.jsonl").records
    write_maps(Data(tmp_path, tmp_path / "manifest.jsonl", records), tmp_path / "maps.safetensors")
    return tmp_path / "maps.safetensors"


def make_labels(terminal: Terminal) -> str:
    """Cut the pets' maps into label maps; gives what the terminal shows."""
    files = {"manifest": "manifest.jsonl", "maps": "maps.safetensors"}
    outputs = {"labels": "pseudo", "index": "pseudo.jsonl"}
    settings = {"threshold": 0.25, "crf": None}
    return terminal("make_pseudo_labels", files, outputs, settings=settings, shard=SHARD)


def test_a_shard_cut_in_half(
    terminal: Terminal, maps: Path, tmp_path: Path, quoted: Callable[[str], None]
) -> None:
    whole = maps.read_bytes()
    cut(maps)
    before = files_of(tmp_path)
    output = make_labels(terminal)
    quoted(output)
    assert "Traceback" not in output
    assert files_of(tmp_path) == before
    maps.write_bytes(whole)
    assert make_labels(terminal) == ""


def test_a_label_map_cut_in_half(
    terminal: Terminal, maps: Path, tmp_path: Path, quoted: Callable[[str], None]
) -> None:
    assert make_labels(terminal) == ""
    cut(tmp_path / "pseudo/a.png")
    before = files_of(tmp_path)
    files = {"manifest": "manifest.jsonl", "labels": ["pseudo"], "indexes": ["pseudo.jsonl"]}
    output = terminal("count_pseudo", files, {"counts": "counts.safetensors"}, shards=[SHARD])
    quoted(output)
    assert "Traceback" not in output
    assert files_of(tmp_path) == before


def test_a_manifest_cut_in_half(
    terminal: Terminal, maps: Path, tmp_path: Path, quoted: Callable[[str], None]
) -> None:
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("\n".join(manifest.read_text().splitlines()[:2]) + "\n")
    output = make_labels(terminal)
    quoted(output)
    assert "Traceback" not in output
    assert not (tmp_path / "pseudo").exists()


# -------------------------------------------------------------------------------------------- configuration


def test_a_wrong_key(quoted: Callable[[str], None]) -> None:
    with pytest.raises(ConfigError) as refused:
        resolved({"methods": {"adcam": {"stpes": 2}}})
    quoted(str(refused.value))


def test_a_name_that_the_config_does_not_have(quoted: Callable[[str], None]) -> None:
    config = copy.deepcopy(CONFIG)
    config["datasets"]["voc"]["main"]["method"] = "adacam"
    with pytest.raises(ConfigError) as refused:
        Plan(config)
    quoted(str(refused.value))
