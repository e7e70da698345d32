"""Files of torch that hold more than tensors, found without loading them."""

import argparse
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from wsss.pretrained.files import fault
from wsss.pretrained.initial_weights import read_state
from wsss.pretrained.pickles import foreign_object

Save = Callable[[Any, Path], None]


def old(value: Any, path: Path) -> None:
    torch.save(value, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize("save", [torch.save, old])
@pytest.mark.parametrize(
    "held",
    [
        nn.Linear(2, 3).state_dict(),
        {"model": nn.Linear(2, 3).state_dict(), "args": argparse.Namespace(lr=0.1), "epoch": 3},
        {"w": nn.Parameter(torch.zeros(2, dtype=torch.bfloat16))},
    ],
    ids=["state", "checkpoint", "parameter"],
)
def test_what_the_trainings_read_is_let_through(tmp_path: Path, save: Save, held: Any) -> None:
    save(held, tmp_path / "w.pth")
    assert fault(tmp_path / "w.pth", None) is None
    assert read_state(tmp_path / "w.pth")


@pytest.mark.parametrize("save", [torch.save, old])
def test_a_whole_network_is_refused_by_its_class(tmp_path: Path, save: Save) -> None:
    save(nn.Sequential(nn.Linear(2, 3)), tmp_path / "w.pth")
    assert fault(tmp_path / "w.pth", None) == (
        "expected plain tensors by name, found torch.nn.modules.container.Sequential; "
        "save the network's state_dict() alone"
    )


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_pickle_of_something_else(tmp_path: Path, protocol: int) -> None:
    (tmp_path / "w.pth").write_bytes(pickle.dumps(Path("x"), protocol))
    assert str(foreign_object(tmp_path / "w.pth")).startswith("pathlib.")


def test_an_archive_that_is_not_torch_s(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
        archive.writestr("weights.txt", "1 2 3")
    assert "an archive without torch's data.pkl" in str(fault(tmp_path / "w.pth", None))
