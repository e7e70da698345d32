"""Our safetensors files are, byte for byte, those of the library; and are joined without being held."""

import tracemalloc
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from wsss.artefacts import tensor_file
from wsss.artefacts.finished_parts import has_part, join_tensors, write_part
from wsss.artefacts.formats import read_tensors, write_tensors

METADATA = {"wsss": '{"name": "ü 𝄞 \\" \\\\ \u2028 \n\t\x01\x7f"}'}


def tensors() -> dict[str, torch.Tensor]:
    """Each type twice, in no order; no dimensions, no values, strides, names of all sorts."""
    values = torch.arange(6).reshape(2, 3)
    names = [str(name).removeprefix("torch.") for name in tensor_file.TYPES]
    found = {f"z/{name}": values.to(getattr(torch, name)) for name in reversed(names)}
    found |= {f"a/{name}": values.t().to(getattr(torch, name)) for name in names}
    return found | {
        "scalar": torch.tensor(1.5),
        "none": torch.zeros(0, 4).half(),
        'ü/\u2028 𝄞"\\': values[:, 1:].half(),
        "\uffff": torch.ones(1),
        "𝄞": torch.ones(1),
    }


@pytest.mark.parametrize("content", [tensors(), {}], ids=["all types", "nothing"])
def test_the_bytes_are_the_librarys(tmp_path: Path, content: dict[str, torch.Tensor]) -> None:
    tensor_file.write(tmp_path / "ours", tensor_file.from_memory(content), METADATA)
    whole = {name: tensor.contiguous().clone() for name, tensor in content.items()}
    save_file(whole, tmp_path / "library", METADATA)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "library").read_bytes()


def test_joined_parts_are_what_is_written_at_once(tmp_path: Path) -> None:
    content = tensors()
    names = list(content)
    parts = [tmp_path / f"part{number}" for number in range(3)]
    for number, part in enumerate(parts):
        write_part(part, {name: content[name] for name in names[number::3]})
    write_part(tmp_path / "nothing", {})
    (tmp_path / "input").write_text("abc")
    write_tensors(tmp_path / "whole", "maps", content, {"steps": 2}, {"source": tmp_path / "input"})
    digest = (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # SHA-256 of "abc" (FIPS 180-2)
    )
    join_tensors(
        tmp_path / "joined", "maps", [*parts, tmp_path / "nothing"], {"steps": 2}, {"source": digest}
    )
    assert (tmp_path / "joined").read_bytes() == (tmp_path / "whole").read_bytes()
    assert read_tensors(tmp_path / "joined", "maps").keys() == content.keys()


def test_joining_holds_a_piece_of_a_tensor_at_a_time(tmp_path: Path) -> None:
    parts = [tmp_path / f"part{number}" for number in range(4)]
    for number, part in enumerate(parts):
        write_part(part, {str(number): torch.rand(2**20)})  # 4 MiB
    tracemalloc.start()
    join_tensors(tmp_path / "joined", "maps", parts, {}, {})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "joined").stat().st_size > 4 * 2**22
    assert peak < 3 * tensor_file.CHUNK


def test_a_part_cut_short_is_none(tmp_path: Path) -> None:
    part = tmp_path / "part"
    assert not has_part(part)
    write_part(part, {"a": torch.arange(40)})
    data = part.read_bytes()
    assert has_part(part)
    for length in (0, 5, 8, 20, len(data) - 1, len(data) + 1):
        part.write_bytes((data + b"x")[:length])
        assert not has_part(part)
