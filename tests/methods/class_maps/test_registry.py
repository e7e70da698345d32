"""The table of methods, and what a new method takes: one file and one entry."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
import torch

from tests.support.builders import SHARD, make_data
from tests.support.stored_files import Stored
from tests.support.stored_views import GRID, asked_views, make_view
from wsss.config.methods import KINDS
from wsss.methods.class_maps import registry
from wsss.methods.class_maps.contract import Held, ViewsMethod
from wsss.methods.derived_maps.registry import MAKERS
from wsss.workflow.fingerprint import PACKAGE, fingerprint

# The settings that a kind cannot do without.
ASKED = {"attention_diffusion": {"steps": 2}, "adcam": {"neighbours": 10, "steps": 2}}


def settings(kind: str) -> ViewsMethod:
    return registry.SETTINGS[kind].model_validate({"kind": kind, **ASKED.get(kind, {})})


def test_each_method_is_listed_under_its_kind_and_module_s_name() -> None:
    for kind, method in registry.METHODS.items():
        assert method.Settings.model_fields["kind"].annotation == Literal[kind]
        assert method.__name__.rpartition(".")[2] == kind
    assert (*registry.METHODS, *MAKERS, "patches") == KINDS


@pytest.mark.parametrize("kind", registry.METHODS)
def test_settings_take_what_each_kind_asks_for(kind: str) -> None:
    assert settings(kind).normalise_views == "never"


@pytest.mark.parametrize("kind", registry.METHODS)
def test_maps_are_of_the_source_s_shape_and_not_negative(kind: str, device: torch.device) -> None:
    view = make_view(device=device, attention_direction="gather")
    view.cams.tensors["attended"] = torch.rand(2, 2, *GRID, device=device)
    found, source = registry.MAPS[kind](view, settings(kind)), registry.SOURCES[kind](view)
    assert found.shape == source.shape == (2, *GRID)
    assert found.device.type == device.type
    assert found.min() >= 0 and source.min() >= 0


@pytest.mark.parametrize("kind", registry.STORED)
def test_what_is_stored_lies_on_the_maps_grid(kind: str) -> None:
    held = Held(torch.randn(2, *GRID), torch.rand(3, 31, 31), make_view().matrix)
    found = registry.STORED[kind](held, asked_views(attention_steps=2, transcam=True))
    assert found and all(maps.shape[-3:] == (2, *GRID) for maps in found.values())


def test_what_needs_attention() -> None:
    assert registry.NEED_ATTENTION == (
        "cam_attention",
        "tscam",
        "transcam",
        "attention_diffusion",
        "adcam",
    )


POWER = '''
"""Class maps raised to a power, where the classifier mirrors its views."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from wsss.config.fields import Positive
from wsss.methods.class_maps.contract import ViewsMethod
from wsss.methods.class_maps.reading import activation

if TYPE_CHECKING:
    from torch import Tensor

    from wsss.methods.class_maps.contract import Config, View

TITLE = "Power"
NEEDS_ATTENTION = False


class Settings(ViewsMethod):
    """Class maps raised to a power."""

    kind: Literal["power"]
    exponent: Positive
    """Of each cell."""


def check(key: str, chain: Config, method: Config, classifier: Config) -> list[str]:
    return [] if classifier["views"]["mirror"] else [f"{key}.method: expected mirrored views"]


stored = None
source = activation


def maps(view: View, settings: Settings) -> Tensor:
    return activation(view) ** settings.exponent
'''
USE = f"""
import copy, sys
from pathlib import Path

from tests.support.settings import CONFIG, refusal
from wsss.config.checks import check_config
from wsss.config.configuration import Configuration
from wsss.config.errors import ConfigError
from wsss.stages.cam import diffuse_cams

import wsss
print(Path(wsss.__file__).parents[1])
config = copy.deepcopy(CONFIG)
config["methods"]["squared"] = {{"kind": "power", "exponent": 2.0}}
config["datasets"]["voc"]["main"]["method"] = "squared"
config["datasets"]["voc"]["thresholds"] = {{"power": 0.5}}
config = Configuration.model_validate(config).model_dump()
print(config["methods"]["squared"])
check_config(config)
config["classifiers"]["conformer_small"]["views"]["mirror"] = False
try:
    check_config(config)
except ConfigError as error:
    print(error)
config["methods"]["squared"]["exponent"] = -1.0
print(refusal(config))
config["methods"]["squared"] = {{"kind": "powr"}}
print(refusal(config))
data = Path(sys.argv[1])
files = {{name: data / f"{{name}}.safetensors" for name in ("cams", "attention", "maps")}}
settings = {{"kind": "power", "exponent": 2.0}}
diffuse_cams.run(manifest=data / "manifest.jsonl", **files, settings=settings, shard="{SHARD}")
"""


@pytest.fixture
def copied(tmp_path: Path) -> Callable[..., Path]:
    """Copies the package, with another text for one of its files, into a new folder each time."""

    def copy(name: str = "copy", **entries: str) -> Path:
        package = tmp_path / name / "wsss"
        shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
        folder = package / "methods" / "class_maps"
        for kind, text in entries.items():
            (folder / f"{kind}.py").write_text(text)
            listed = (folder / "registry.py").read_text()
            listed = listed.replace("import adcam,", f"import adcam, {kind},")
            listed = listed.replace('    "adcam": adcam,\n', f'    "adcam": adcam,\n    "{kind}": {kind},\n')
            (folder / "registry.py").write_text(listed)
        return package

    return copy


def test_a_new_method_is_one_file_and_one_entry(tmp_path: Path, copied: Callable[..., Path]) -> None:
    package = copied(power=POWER)
    (package.parent / "config").symlink_to(PACKAGE.parent / "config")  # the presets
    stored = Stored(make_data(tmp_path))
    roots = os.pathsep.join(map(str, (package.parent, PACKAGE.parent)))
    ran = subprocess.run(
        [sys.executable, "-c", USE, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": roots},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    root, validated, *said = ran.stdout.splitlines()
    assert root == str(package.parent)
    assert validated == "{'normalise_views': 'never', 'kind': 'power', 'exponent': 2.0}"
    assert "  datasets.voc.main.method: expected mirrored views" in said
    assert said[-2] == "methods.squared.exponent: expected more than 0.0, found -1.0"
    assert said[-1].startswith("methods.squared.kind: expected one of 'cam', ")
    assert said[-1].endswith("'adcam', 'power', 'patches', found 'powr'")
    found = stored.read()
    expected = stored.merged({key: cam**2 for key, cam in stored.cams.items()})
    for image, maps in expected.items():
        torch.testing.assert_close(found[f"{image}/maps"].float(), maps, rtol=0, atol=2e-3)


def test_a_new_method_that_stores_nothing_runs_no_network_again(copied: Callable[..., Path]) -> None:
    package = copied(power=POWER)
    assert fingerprint("extract_maps", package) == fingerprint("extract_maps")
    assert fingerprint("diffuse_cams", package) != fingerprint("diffuse_cams")


@pytest.mark.parametrize(
    ("name", "old", "new", "changed"),
    [
        ("adcam", "settings.steps, direction", "settings.steps + 1, direction", {"diffuse_cams"}),
        ("transcam", "(held.cam.flatten(1),", "(held.cam.relu().flatten(1),", {"extract_maps"}),
        ("attention_diffusion", "held.cam.relu()", "held.cam", {"extract_maps"}),
        ("tscam", "return coupled(view, source(view))", "return source(view)", {"diffuse_cams"}),
        ("adcam", "; raise views.cached_neighbours", "; raise it", set()),
        ("adcam", 'TITLE = "AD-CAM"', 'TITLE = "Ours"', {"draw_examples"}),
        ("adcam", "soft: bool = False", "soft: bool = True", set()),
    ],
)
def test_an_edit_of_a_method_reruns_those_that_run_the_edited_member(
    copied: Callable[..., Path], name: str, old: str, new: str, changed: set[str]
) -> None:
    package = copied()
    path = package / "methods" / "class_maps" / f"{name}.py"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    stages = ("extract_maps", "diffuse_cams", "draw_examples", "train_classifier", "compare")
    assert {stage for stage in stages if fingerprint(stage, package) != fingerprint(stage)} == changed
