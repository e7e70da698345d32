"""Reading the configuration: presets, defaults, and one order of keys."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake.utils import update_config

from tests.support.settings import CONFIG, ROOT
from wsss.config.checks import check_config
from wsss.config.errors import ConfigError
from wsss.config.reading import lay_over, read_config, read_mapping, resolved, without_defaults


def turned(value: Any) -> Any:
    """The same mappings with their keys in the opposite order."""
    if isinstance(value, dict):
        return {key: turned(value[key]) for key in reversed(list(value))}
    return [turned(item) for item in value] if isinstance(value, list) else value


def with_mine(**settings: Any) -> dict[str, Any]:
    config = read_mapping(ROOT / "config.yaml")
    lay_over(config, {"datasets": {"mine": {"kind": "folder", **settings}}})
    return resolved(config)


def test_the_order_of_keys_is_no_difference() -> None:
    """Jobs are compared by their parameters as text."""
    changed = resolved(turned(read_mapping(ROOT / "config.yaml")))
    variants = [(section, name) for section, values in CONFIG.items() for name in values]
    assert len(variants) > 90
    for section, name in variants:
        assert repr(changed[section][name]) == repr(CONFIG[section][name])


def test_open_mappings_have_one_order_too() -> None:
    config = read_mapping(ROOT / "config.yaml")
    arguments = {"num_heads": 3, "depth": 6, "inner": {"b": 1, "a": 2}}
    lay_over(config, {"single_stage": {"apc_nano": {"network": {"arguments": arguments}}}})
    one = resolved(config)["single_stage"]["apc_nano"]["network"]["arguments"]
    lay_over(config, {"single_stage": {"apc_nano": {"network": {"arguments": turned(arguments)}}}})
    assert json.dumps(one) == json.dumps(
        resolved(turned(config))["single_stage"]["apc_nano"]["network"]["arguments"]
    )


def test_what_is_resolved_is_resolved() -> None:
    """Each job reads the configuration anew, from that of the planning process."""
    assert resolved(CONFIG) == CONFIG


def test_a_folder_needs_its_root_alone() -> None:
    config = with_mine(root="data/mine")
    check_config(config)
    mine = config["datasets"]["mine"]
    assert (mine["images"], mine["labels"], mine["masks"]) == ("images", "labels.csv", None)
    assert mine["main"]["classifier"] == "own" and mine["single_stage"]["main"] == "apc_own"
    assert without_defaults(config)["datasets"]["mine"] == {"kind": "folder", "root": "data/mine"}


@pytest.mark.parametrize(
    ("given", "found"), [({}, "masks"), ({"masks": None}, None), ({"masks": "truth"}, "truth")]
)
def test_masks_are_taken_where_they_are(tmp_path: Path, given: dict[str, Any], found: str | None) -> None:
    (tmp_path / "masks").mkdir()
    assert with_mine(root=str(tmp_path), **given)["datasets"]["mine"]["masks"] == found


@pytest.mark.parametrize(
    ("made", "given", "found"),
    [
        ([], {}, "labels.csv"),
        (["images"], {}, "labels.csv"),
        (["images/dog"], {}, None),
        (["images/dog"], {"labels": "mine.csv"}, "mine.csv"),
        (["images/dog", "labels.csv"], {}, "labels.csv"),
    ],
)
def test_folders_are_classes_where_there_is_no_table(
    tmp_path: Path, made: list[str], given: dict[str, Any], found: str | None
) -> None:
    for name in made:
        (tmp_path / name).mkdir(parents=True)
    assert with_mine(root=str(tmp_path), **given)["datasets"]["mine"]["labels"] == found


def test_voc_and_coco_compare_the_same_systems() -> None:
    """COCO's list is VOC's, with the variants that were made for COCO in their places."""
    voc, coco = (CONFIG["datasets"][name]["compare"]["systems"] for name in ("voc", "coco"))
    assert len(voc) == 42
    instead = {"deeplabv2": "deeplabv2_coco", **CONFIG["datasets"]["coco"]["compare"]["instead"]}
    assert len(instead) == 6
    assert coco == [{key: instead.get(value, value) for key, value in one.items()} for one in voc]
    assert {"resnet50_recam_coco", "irn_rib_coco", "toco_coco"} < {
        value for one in coco for value in one.values()
    }


def test_a_variant_that_is_none_gives_no_place() -> None:
    config = read_mapping(ROOT / "config.yaml")
    lay_over(config, {"datasets": {"coco": {"compare": {"instead": {"resnet5": "resnet50"}}}}})
    with pytest.raises(ConfigError, match=r"instead: .*found 'resnet5'"):
        check_config(resolved(config))


def test_config_yaml_is_short() -> None:
    assert len((ROOT / "config.yaml").read_text().splitlines()) <= 60


def test_a_file_that_is_no_mapping_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(["sample"]))
    with pytest.raises(ValueError, match=r"mine\.yaml: expected keys and values, found list"):
        read_config([path])


def test_overlays_are_laid_as_snakemake_lays_them() -> None:
    below: dict[str, Any] = {"a": {"b": 1, "c": {"d": 2}}, "e": [1], "f": None, "g": 3}
    above = {"a": {"c": {"x": None}, "b": {"y": 1}}, "e": [2, 3], "f": {"z": 1}, "g": {}, "h": {}}
    expected = copy.deepcopy(below)
    update_config(expected, copy.deepcopy(above))
    lay_over(below, above)
    assert below == expected
