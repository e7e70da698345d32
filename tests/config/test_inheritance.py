"""What ``extends`` means in the configuration."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.settings import CONFIG
from wsss.config.errors import ConfigError
from wsss.config.inheritance import inherited
from wsss.config.reading import preset_files, read_config

ROOT = Path(__file__).parents[2]
FILES = [ROOT / "config.yaml", *preset_files()]
RECORDED = ROOT / "tests" / "golden" / "settings.json"


def settled(text: str) -> Any:
    return inherited(yaml.safe_load(text))


def test_the_case_by_hand() -> None:
    assert settled("a: {x: {p: 1, q: {r: 2, s: 3}}, y: {extends: x, q.r: 4}}") == {
        "a": {"x": {"p": 1, "q": {"r": 2, "s": 3}}, "y": {"p": 1, "q": {"r": 4, "s": 3}}}
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: {x: {p: 1}, y: {extends: z, q: 2}, z: {extends: x, p: 3}}", {"p": 3, "q": 2}),
        ("a: {x: {p: {q: 1}}, y: {extends: x, p: {r: 2}}}", {"p": {"q": 1, "r": 2}}),
        ("a: {x: {p: {q: 1}}, y: {extends: x, p: null}}", {"p": None}),
        ("a: {x: {p: [1, 2]}, y: {extends: x, p: [3]}}", {"p": [3]}),
        ("a: {x: {initial: {timm: true}}, y: {extends: x, initial: {file: f}}}", {"initial": {"file": "f"}}),
        ("b: {c: {d: {e: 1}}}\na: {y: {p: {extends: b.c.d, f: 2}}}", {"p": {"e": 1, "f": 2}}),
        ("b: {c: {d: {e: 1}}}\na: {x: {p: {z: 0}}, y: {extends: x, p: {extends: b.c.d}}}", {"p": {"e": 1}}),
        ("b: {c: {d: [1]}}\na: {y: {p: {extends: b.c.d}}}", {"p": [1]}),
        ("a: {y: {p: {q: 1}, r: {extends: a.y.p}}}", {"p": {"q": 1}, "r": {"q": 1}}),
        (
            "a: {x: {initial: {timm: true}}, y: {extends: x, initial.file: f, initial.sha256: g}}",
            {"initial": {"file": "f", "sha256": "g"}},
        ),
        # what a user's file adds comes later and holds, with dots or without
        ("a: {x: {p: {q: 1}}, y: {extends: x, p.q: 2, p: {q: 3}}}", {"p": {"q": 3}}),
        ("a: {x: {p: {q: 1}}, y: {extends: x, p: {q: 3}, p.q: 2}}", {"p": {"q": 2}}),
    ],
)
def test_differences_are_laid_over_what_is_extended(text: str, expected: Any) -> None:
    assert settled(text)["a"]["y"] == expected


def test_nothing_is_shared() -> None:
    config = settled("a: {x: {p: {q: [{r: 1}]}}, y: {extends: x}}")
    config["a"]["y"]["p"]["q"][0]["r"] = 2
    assert config["a"]["x"] == {"p": {"q": [{"r": 1}]}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: {x: {p: 1}, y: {extends: z}}", "a.y.extends: expected one of a (x, y), found 'z'"),
        ("a: {x: {p: 1}, y: {extends: a.x.q}}", "a.y.extends: expected one of a.x (p), found 'a.x.q'"),
        ("a: {x: {p: 1}, y: {extends: b.x}}", "a.y.extends: expected one of the configuration (a), found"),
        (
            "a: {x: {p: 1}, y: {extends: a.x.p, r: 1}}",
            "expected settings to add r to, 'a.x.p' is 1",
        ),
        ("a: {x: {extends: y}, y: {extends: x}}", "expected an end, found the circle a.x -> a.y -> a.x"),
        ("a: {x: {extends: x}}", "found the circle a.x -> a.x"),
        ("a: {x: {p: {extends: a.x}}}", "found the circle a.x.p -> a.x.p"),
    ],
)
def test_what_cannot_be_extended_is_named(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        settled(text)


def test_what_a_user_changes_changes_in_all_that_extend_it(tmp_path: Path) -> None:
    overlay = tmp_path / "mine.yaml"
    overlay.write_text(
        "single_stage: {apc: {training: {epochs: 6}}}\n"
        "classifiers: {conformer_small: {training: {crop: 320}}}"
    )
    config = read_config([overlay])
    variants = {name: one for name, one in config["single_stage"].items() if one["kind"] == "apc"}
    epochs = {name: variant["training"]["epochs"] for name, variant in variants.items()}
    assert len(epochs) > 20
    assert set(epochs.values()) == {6}
    for name in ("conformer_small_coupled", "conformer_small_tscam", "conformer_tiny", "vit_tiny"):
        assert config["classifiers"][name]["training"]["crop"] == 320
    assert config["classifiers"]["conformer_nano"]["training"]["crop"] == 64  # its own


def test_snakemake_lays_them_over_after_the_users_files(tmp_path: Path) -> None:
    overlay = tmp_path / "mine.yaml"
    overlay.write_text("single_stage: {apc_nano: {training: {beta: 0.0}}}")
    command = [
        sys.executable,
        *("-m", "snakemake", "-n", "--cores", "1", "--snakefile"),
        str(ROOT / "Snakefile"),
    ]
    run = subprocess.run(
        [*command, "--configfile", str(overlay), "--directory", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode != 0
    for name in ("apc_nano", "apc_nano_max"):
        assert "expected beta above 0, for " in run.stdout + run.stderr
        assert f"found 0.0 in {name!r}" in run.stdout + run.stderr


def test_nothing_inherits_before_overlays_are_laid() -> None:
    lines = [line for file in FILES for line in file.read_text().splitlines()]
    assert len(lines) > 500
    assert not [line for line in lines if "<<:" in line or re.search(r"[:\[,] [&*]\w", line)]


def test_settings_are_what_was_recorded() -> None:
    """A variant whose settings move runs again for all: record it, say so in CHANGELOG."""
    digests = {
        f"{section}.{name}": hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]
        for section, variants in CONFIG.items()
        for name, settings in variants.items()
    }
    assert digests == json.loads(RECORDED.read_text())
