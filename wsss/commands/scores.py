"""``wsss scores``: print what a chain of stages scored."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from wsss.artefacts.formats import ArtefactError, Values, read_json
from wsss.methods.metric_table import SHOWN

if TYPE_CHECKING:
    from wsss.commands import Subparsers

PICTURE = "examples.png"
STAGES = ("seed", "refined", "pseudo", "segmentation")
HEADER = ("stage", *(metric.title for metric in SHOWN.values()), "measured on")


class Row(NamedTuple):
    """A line of the table: stage, its scores by name, and what they were measured on."""

    stage: str
    scores: Values
    scope: str


def add_parser(commands: Subparsers) -> None:
    """Add the command to the command line."""
    scores = commands.add_parser(
        "scores",
        description=(
            "Print mIoU, FP and FN in percent: of the class maps (seed), of the maps after refinement "
            "(refined), of the pseudo labels and of the segmentation network. mIoU averages the classes with "
            "background, FP and FN the foreground classes. Over several runs the mean and the sample "
            "standard deviation are given."
        ),
        epilog="example: wsss scores results/sample/seg_miou.json",
    )
    scores.add_argument("file", type=Path, help="a seg_miou.json, or any other metrics file of a run")
    scores.set_defaults(command=_print_scores)


def _print_scores(options: argparse.Namespace) -> int:
    document = read_json(options.file)
    if document.get("form") not in ("summary", "scores"):
        raise ArtefactError(f"{options.file}: expected a metrics file such as seg_miou.json")
    print(format_scores(document))
    picture = options.file.with_name(PICTURE)
    if picture.exists():
        print(f"\npicture: {picture}")
    return 0


def format_scores(document: Values) -> str:
    """A metrics file, or a chain's summary, as an aligned table in percent."""
    cells: list[Sequence[str]] = [HEADER]
    for row in _rows(document):
        cells.append((row.stage, *(_percent(row.scores[name]) for name in SHOWN), row.scope))
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEADER))]
    lines = [_align(line, widths) for line in cells]
    return "\n".join([_title(document), *lines, *_warnings(document)])


def _rows(document: Values) -> Iterator[Row]:
    stages = document.get("stages", {"scores": document})
    for name in sorted(stages, key=[*STAGES, "scores"].index):
        stage = stages[name]
        if "inferences" in stage:
            yield from _inference_rows(name, stage)
        else:
            yield Row(name, stage, _scope(stage) + _threshold(stage))
        if "configured" in stage:
            yield Row("", stage["configured"], _scope(stage) + _threshold(stage["configured"], ", config"))
        configured = stage.get("configured", {}).get("threshold_rule")
        for rule, scores in stage.get("rules", {}).items():
            if rule != configured:
                yield Row("", scores, _scope(stage) + _threshold(scores))


def _inference_rows(name: str, stage: Values) -> Iterator[Row]:
    """The inference that counts first, under the stage's name; then the others."""
    main_name = stage["inference"]
    yield Row(name, stage, f"{_scope(stage)}, inference {main_name}")
    for other, scores in stage["inferences"].items():
        if other != main_name:
            yield Row("", scores, f"{_scope(stage)}, inference {other}")


def _scope(stage: Values) -> str:
    return f"{stage['split']}, {stage['images']} images"


def _threshold(stage: Values, by_rule: str = "") -> str:
    """The thresholds of all runs and how they were chosen; a mean where each image has its own."""
    if "threshold" not in stage:
        return ""
    values = stage["threshold"] if isinstance(stage["threshold"], list) else [stage["threshold"]]
    rule = stage.get("threshold_rule")
    how = "config" if stage["threshold_chosen"].startswith("configured") else "best on this truth"
    how = f"{rule}{by_rule}" if rule else how
    if "threshold_deviation" in stage or None in values:
        how += ", a mean of each image's own" if None not in values else ", each image's own"
    numbers = "".join(f" {value:.3g}" for value in values if value is not None)
    return f", threshold{numbers} ({how})"


def _percent(value: Any) -> str:
    """A score, or the mean and deviation of several, in percent; a dash where nothing was scored."""
    mean, deviation = (value["mean"], value["deviation"]) if isinstance(value, Mapping) else (value, None)
    if mean is None:
        return "-"
    return f"{100 * mean:.1f}" + ("" if deviation is None else f" ± {100 * deviation:.1f}")


def _align(line: Sequence[str], widths: Sequence[int]) -> str:
    stage, *numbers, scope = line
    padded = [number.rjust(width) for number, width in zip(numbers, widths[1:-1], strict=True)]
    return "  ".join([stage.ljust(widths[0]), *padded, scope]).rstrip()


def _title(document: Values) -> str:
    runs = document.get("runs", [document.get("run")])
    over = f"mean ± deviation over runs {runs}" if len(runs) > 1 else f"run {runs[0]}"
    return f"{document['dataset']}, percent, {over}"


def _warnings(document: Values) -> list[str]:
    """What makes the result no weakly supervised one: labels of the training, or of the weights before it."""
    taught = {role: _texts(labels) for role, labels in document.get("training_supervision", {}).items()}
    trained = [f"{role} was trained on pixel labels ({labels})" for role, labels in taught.items()]
    initial = ["initial weights were trained with pixel labels"] if _initially(document) else []
    return [f"{reason}: not a weakly supervised result" for reason in [*trained, *initial]]


def _texts(labels: str | Sequence[str]) -> str:
    """One run's labels, or all runs' different ones."""
    return labels if isinstance(labels, str) else "; ".join(labels)


def _initially(document: Values) -> bool:
    """Whether initial weights had seen pixel labels; where no training did, they alone can be meant."""
    if "training_supervision" not in document:
        return bool(document["pixel_labels_used"])
    origins = document.get("initial_weights", {}).values()
    return document.get("initial_pixel_labels", False) or any(part["pixel_labels"] for part in origins)
