"""The table of makers of derived maps, and that planning may read it."""

import subprocess
import sys
from typing import Literal

import pytest

from tests.support.settings import CONFIG
from wsss.methods.derived_maps import registry

PUBLISHED = {"advcam": "resnet50_advcam", "rib": "resnet50_rib", "getam": "vit_base_getam"}


def test_each_maker_is_listed_under_its_kind_and_module_s_name() -> None:
    for kind, maker in registry.MAKERS.items():
        assert maker.Settings.model_fields["kind"].annotation == Literal[kind]
        assert maker.__name__.rpartition(".")[2] == kind
    assert set(PUBLISHED) == set(registry.MAKERS)


@pytest.mark.parametrize("kind", registry.MAKERS)
def test_left_out_settings_are_those_of_the_published_code(kind: str) -> None:
    settings = registry.MAKERS[kind].Settings.model_validate({"kind": kind})
    assert settings.model_dump() == CONFIG["classifiers"][PUBLISHED[kind]]["maps"]


def test_the_table_imports_no_torch() -> None:
    code = "import sys, wsss.methods.derived_maps.registry; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
