"""The digest follows what a stage runs, and nothing else."""

import ast
import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from wsss.methods.class_maps.registry import METHODS
from wsss.workflow.fingerprint import PACKAGE, fingerprint, reached

FILES = {
    "__init__.py": "",
    "stages/__init__.py": "",
    "stages/shade.py": '''
"""Stage."""

import numpy as np
from numpy import mean

import paint.tools
from paint import brushes
from paint.methods.wash import METHODS, thin as dilute
from ..stages.common import LIMIT


def run(*, source):
    """Run."""
    from paint.late import late

    late(LIMIT)
    brushes.stroke(mean(np.array(source)))
    paint.tools.mix()
    return METHODS["wash"](dilute(source))
''',
    "stages/line.py": """
from paint.methods.wash import thin


def run(*, source):
    return thin(source)
""",
    "stages/dip.py": """
from paint.config.tins import Tin, Tins


def run(*, tin: Tins):
    return dip(tin)


def dip(tin: Tin):
    return tin.full
""",
    "config/__init__.py": "",
    "config/fields.py": "class Settings:\n    strict = True\n",
    "config/tins.py": """
from typing import Annotated

from paint.config.fields import Settings


class Tin(Settings):
    size: float = 1

    @model_validator
    def fits(self):
        return self

    @property
    def full(self):
        return 2 * self.size


class Wide(Tin):
    lid: bool


Tins = Annotated[Tin | Wide, "by lid"]
""",
    "stages/common.py": "LIMIT: int = 3\nOTHER = 4\n",
    "methods/__init__.py": "from paint.methods.wash import wash as soak\n",
    "methods/wash.py": '''
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paint.unused import Annotation


def thin(x: "Annotation"):
    return x


def wash(x):
    """Wash."""
    return Pool(x).fill()


class Pool:
    """Pool."""

    depth = 1

    def __init__(self, x):
        self.x = x

    def fill(self):
        return self.x * self.depth


def never(x):
    return x


METHODS = {"wash": wash}
''',
    "brushes.py": """
from .register import REGISTRY

REGISTRY.setup()


def stroke(x):
    return x


def idle(x):
    return x


@REGISTRY.register_module()
class ByName:
    width = 1
""",
    "register.py": "class Registry:\n    size = 1\n\n\nREGISTRY = Registry()\n",
    "tools.py": "from paint.methods import soak\n\n\ndef mix():\n    return soak(1)\n",
    "late.py": "def late(x):\n    return x\n",
    "unused.py": "class Annotation:\n    pass\n",
    "inks/__init__.py": "",
    "inks/red.py": "STRONG = True\nPRICE = 1\n\n\ndef hue(x):\n    return x\n\n\nbleach = None\n",
    "inks/blue.py": "from paint.late import late\n\nSTRONG = True\nPRICE = 2\n\n\n"
    "def hue(x):\n    return late(x)\n\n\ndef bleach(x):\n    return x\n",
    "inks/green.py": "STRONG = False\nPRICE = 3\n\n\ndef hue(x):\n    return x * 3\n\n\nbleach = None\n",
    "inks/table.py": """
from paint.inks import blue, red

INKS: dict = {"red": red, "blue": blue}
HUES = {name: ink.hue for name, ink in INKS.items()}
BLEACHES = {name: ink.bleach for name, ink in INKS.items() if ink.bleach}
STRONG = tuple(ink.STRONG for ink in INKS.values())
WHOLE = [vars(ink) for ink in INKS.values()]
""",
    "stages/tint.py": "from paint.inks.table import HUES\n\n\ndef run(*, x):\n    return HUES['red'](x)\n",
    "stages/fade.py": "from paint.inks.table import BLEACHES\n\n\ndef run(*, x):\n    return BLEACHES[x]\n",
    "stages/count.py": "from paint.inks import table\n\n\ndef run(*, x):\n    return table.STRONG\n",
    "stages/list.py": "from paint.inks.table import WHOLE\n\n\ndef run(*, x):\n    return WHOLE\n",
    "stages/sum.py": "from paint.inks.table import INKS\n\n\n"
    "def run(*, x):\n    return sum(ink.PRICE for ink in INKS.values())\n",
    "stages/loop.py": "from paint.inks.table import INKS\n\n\n"
    "def run(*, x):\n    for ink in INKS.values():\n        x = ink.hue(x)\n    return x\n",
}


@pytest.fixture
def package(tmp_path: Path) -> Callable[..., Path]:
    """Write the package, with replacements (file, old, new), to a new folder each time."""
    numbers = itertools.count()

    def write(*edits: tuple[str, str, str]) -> Path:
        root = tmp_path / str(next(numbers)) / "paint"
        files = dict(FILES)
        for name, old, new in edits:
            assert old in files[name]
            files[name] = files[name].replace(old, new)
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return root

    return write


@pytest.mark.parametrize(
    "edit",
    [
        ("methods/wash.py", "    return x\n\n\ndef wash", "    return x + 1\n\n\ndef wash"),
        ("methods/wash.py", "depth = 1", "depth = 2"),
        ("methods/wash.py", '{"wash": wash}', '{"wash": wash, "thin": thin}'),
        ("stages/common.py", "LIMIT: int = 3", "LIMIT: int = 5"),
        ("stages/shade.py", "from numpy import mean", "from numpy import median as mean"),
        ("brushes.py", "def stroke(x):\n    return x", "def stroke(x):\n    return -x"),
        ("brushes.py", "REGISTRY.setup()", "REGISTRY.setup(1)"),
        ("brushes.py", "width = 1", "width = 2"),
        ("register.py", "size = 1", "size = 2"),
        ("tools.py", "soak(1)", "soak(2)"),
        ("late.py", "return x", "return 0"),
        ("stages/shade.py", 'METHODS["wash"]', 'METHODS["other"]'),
    ],
    ids=lambda edit: f"{edit[0]}: {edit[2].splitlines()[-1].strip()}",
)
def test_an_edit_that_matters_changes_the_digest(
    package: Callable[..., Path], edit: tuple[str, str, str]
) -> None:
    assert fingerprint("shade", package(edit)) != fingerprint("shade", package())


@pytest.mark.parametrize(
    "edit",
    [
        ("methods/wash.py", '"""Wash."""', '"""Wash gently."""'),
        ("methods/wash.py", '"""Pool."""\n', '"""Pool of water."""  # a comment\n'),
        ("methods/wash.py", "return Pool(x).fill()", "return Pool(\n        x\n    ).fill()"),
        ("methods/wash.py", "def never(x):\n    return x", "def never(x):\n    return 1"),
        ("methods/wash.py", "import Annotation", "import Annotation, Other"),
        ("stages/common.py", "OTHER = 4", "OTHER = 5"),
        ("stages/line.py", "return thin(source)", "return thin(thin(source))"),
        ("brushes.py", "def idle(x):\n    return x", "def idle(x):\n    return 1"),
        ("unused.py", "pass", "x = 1"),
    ],
    ids=lambda edit: f"{edit[0]}: {edit[2].splitlines()[-1].strip()}",
)
def test_an_edit_that_does_not_matter_keeps_the_digest(
    package: Callable[..., Path], edit: tuple[str, str, str]
) -> None:
    assert fingerprint("shade", package(edit)) == fingerprint("shade", package())


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("size: float = 1", "size: int = 2", False),
        ("        return self\n", "        return None\n", False),
        ("lid: bool", "lid: int", False),
        ('Tin | Wide, "by lid"', 'Tin, "alone"', False),
        ("2 * self.size", "3 * self.size", True),
    ],
)
def test_of_models_of_settings_methods_alone_count(
    package: Callable[..., Path], old: str, new: str, changed: bool
) -> None:
    edited = package(("config/tins.py", old, new))
    assert (fingerprint("dip", edited) != fingerprint("dip", package())) is changed


TINTING = ("tint", "fade", "count", "list", "sum", "loop")
GREEN = (
    ("inks/table.py", "import blue, red", "import blue, green, red"),
    ("inks/table.py", '"blue": blue}', '"blue": blue, "green": green}'),
)


@pytest.mark.parametrize(
    ("edits", "changed"),
    [
        ([("inks/red.py", "return x", "return -x")], {"tint", "list", "loop"}),
        ([("late.py", "return x", "return 0")], {"tint", "list", "loop"}),
        (
            [("inks/blue.py", "bleach(x):\n    return x", "bleach(x):\n    return 0")],
            {"fade", "list", "loop"},
        ),
        ([("inks/red.py", "bleach = None", "bleach = hue")], {"fade", "list", "loop"}),
        ([("inks/red.py", "STRONG = True", "STRONG = False")], {"count", "list", "loop"}),
        ([("inks/red.py", "PRICE = 1", "PRICE = 4")], {"sum", "list", "loop"}),
        # another member of a key is an edit even where no text of a member is new
        ([("inks/table.py", '"red": red, "blue": blue', '"red": blue, "blue": red')], set(TINTING)),
        # a new key is one to all but the stage of a member that it has not
        (GREEN, set(TINTING) - {"fade"}),
    ],
    ids=lambda value: None if isinstance(value, set) else f"{value[-1][0]}: {value[-1][2]}",
)
def test_a_stage_that_reads_one_member_of_a_table_s_modules_follows_that_alone(
    package: Callable[..., Path], edits: list[tuple[str, str, str]], changed: set[str]
) -> None:
    before, after = package(), package(*edits)
    assert {stage for stage in TINTING if fingerprint(stage, before) != fingerprint(stage, after)} == changed


@pytest.mark.parametrize(
    ("edits", "changed"),
    [
        ([("inks/red.py", "return x", "return -x")], {"tint", "list", "loop"}),
        ([("late.py", "return x", "return 0")], {"list", "loop"}),  # of blue
        ([("inks/blue.py", "PRICE = 2", "PRICE = 5")], {"list", "loop"}),
        (GREEN, {"list", "loop"}),
    ],
    ids=["its own", "what another reaches", "another's member", "another"],
)
def test_a_job_of_one_entry_follows_that_entry_alone(
    package: Callable[..., Path], edits: list[tuple[str, str, str]], changed: set[str]
) -> None:
    before, after = package(), package(*edits)
    stages = [stage for stage in TINTING if stage != "fade"]  # of which red has no member
    assert {
        stage for stage in stages if fingerprint(stage, before, "red") != fingerprint(stage, after, "red")
    } == changed
    assert fingerprint("tint", before, "purple") == fingerprint("tint", before)


def test_members_of_a_table_are_reached(package: Callable[..., Path]) -> None:
    assert reached("tint", package()) == {
        "paint.stages.tint.run",
        "paint.inks.table.HUES",
        "paint.inks.red.hue",
        "paint.inks.blue.hue",
        "paint.late.late",
    }


PRINTING = (
    ("stages/line.py", "import thin\n", "import thin\nfrom paint.prints import RESOURCES\n"),
    ("stages/line.py", "return thin(source)", "return thin(RESOURCES)"),
)


@pytest.mark.parametrize(("edit", "same"), [("paper = 2", False), ("paper = 1", True)])
def test_files_that_a_module_lists_are_part_of_its_readers_digest(
    package: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, edit: str, same: bool
) -> None:
    monkeypatch.setitem(FILES, "prints/__init__.py", 'RESOURCES = ("page.txt",)\n')
    monkeypatch.setitem(FILES, "prints/page.txt", "paper = 1")
    edited = package(*PRINTING, ("prints/page.txt", "paper = 1", edit))
    assert (fingerprint("line", edited) == fingerprint("line", package(*PRINTING))) is same
    assert fingerprint("shade", edited) == fingerprint("shade", package())


def test_only_readers_of_a_function_change(package: Callable[..., Path]) -> None:
    edited = package(("methods/wash.py", "depth = 1", "depth = 2"))
    assert fingerprint("line", edited) == fingerprint("line", package())


def test_reached_names_the_definitions(package: Callable[..., Path]) -> None:
    assert reached("line", package()) == {"paint.stages.line.run", "paint.methods.wash.thin"}


def test_a_module_used_as_a_value_counts_whole(package: Callable[..., Path]) -> None:
    whole = ("stages/line.py", "return thin(source)", "from paint import brushes\n    return vars(brushes)")
    assert "paint.brushes.idle" in reached("line", package(whole))


def test_a_stage_without_run_is_refused(package: Callable[..., Path]) -> None:
    with pytest.raises(ValueError, match="stage 'common': expected a function 'run'"):
        fingerprint("common", package())
    with pytest.raises(
        ValueError, match="stage 'absent': expected one module of this name in stages/, found 0"
    ):
        fingerprint("absent", package())


def test_diffusing_is_read_by_the_stages_that_diffuse_alone() -> None:
    diffuse = "wsss.methods.diffusion.diffuse"
    stages = [path.stem for path in sorted((PACKAGE / "stages").glob("*/*.py")) if _has_run(path)]
    assert [stage for stage in stages if diffuse in reached(stage)] == ["diffuse_cams", "make_maps"]
    assert "wsss.methods.diffusion.nearest_coneighbours" in reached("extract_maps")


def test_a_stage_covers_of_each_method_what_it_runs() -> None:
    maps, stored = (
        {name for name in reached(stage) if name.startswith("wsss.methods.class_maps.")}
        for stage in ("diffuse_cams", "extract_maps")
    )
    every = {f"wsss.methods.class_maps.{kind}" for kind in METHODS}
    assert {f"{method}.{member}" for method in every for member in ("maps", "source")} <= maps
    assert {f"{method}.stored" for method in every} <= stored
    others = {f"{method}.{member}" for method in every for member in ("check", "TITLE")}
    assert not others & (maps | stored)
    assert not {f"{method}.Settings" for method in every} & stored
    assert not {f"{method}.stored" for method in every} & maps
    assert not {f"{method}.maps" for method in every} & stored


def test_a_job_that_derives_maps_follows_its_own_maker_alone(tmp_path: Path) -> None:
    copy = tmp_path / "wsss"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    source = copy / "methods" / "information_bottleneck.py"
    source.write_text(source.read_text().replace("loss_of(found,", "2 * loss_of(found,"))
    kinds = ("advcam", "rib", "getam")
    moved = [
        kind
        for kind in kinds
        if fingerprint("derive_maps", copy, kind) != fingerprint("derive_maps", entry=kind)
    ]
    assert moved == ["rib"]
    assert not any("derived_maps" in name for name in reached("extract_maps"))


def test_the_table_of_scores_is_read_where_scores_are_derived_alone() -> None:
    table = "wsss.methods.metric_table.METRICS"
    assert table in reached("evaluate_seeds") and table in reached("evaluate_segmentation")
    for stage in ("count_seeds", "count_pseudo", "count_predictions", "train_classifier", "extract_maps"):
        assert table not in reached(stage)


def test_networks_that_a_registry_builds_by_name_are_covered() -> None:
    assert {"wsss.models.deeplabv2.DeepLabV2Head", "wsss.models.backbones.TimmBackbone"} <= reached(
        "train_segmenter"
    )


def test_a_page_s_template_and_the_published_figures_are_covered() -> None:
    assert {"wsss.report.page.RESOURCES", "wsss.data.published.RESOURCES"} <= reached("draw_comparison")
    assert "wsss.data.published.RESOURCES" in reached("compare")


def test_a_copy_elsewhere_has_the_same_digest(tmp_path: Path) -> None:
    copy = tmp_path / "wsss"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    assert fingerprint("walk_cams", copy) == fingerprint("walk_cams")


def _has_run(path: Path) -> bool:
    body = ast.parse(path.read_text()).body
    return any(isinstance(node, ast.FunctionDef) and node.name == "run" for node in body)
