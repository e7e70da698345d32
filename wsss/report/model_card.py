"""The model card of a predictor: what a person should know before using it."""

from __future__ import annotations

from wsss.artefacts.files import Values
from wsss.methods.metric_table import SHOWN
from wsss.single_stage.registry import TITLES

KINDS = {
    "segmenter": "DeepLabV2, trained on pseudo labels that a chain of AD-CAM's stages made from image labels",
    **TITLES,
}


def model_card(description: Values) -> str:
    """Markdown for the folder's README.

    Args:
        description: What ``predictor.json`` tells.
    """
    sections = [_title, _use, _data, _supervision, _scores, _limits]
    return "\n\n".join(section(description) for section in sections) + "\n"


def _title(known: Values) -> str:
    return f"# Predictor: {known['dataset']}\n\n{KINDS[known['kind']]}. It labels each pixel of a picture."


def _use(known: Values) -> str:
    return (
        "## Use\n\n"
        "    wsss predict FOLDER PICTURES --out LABELS\n\n"
        "or in Python\n\n"
        "    from wsss import load_predictor\n"
        '    prediction = load_predictor("FOLDER")("picture.jpg")\n\n'
        f"Pictures are looked at with {_settings(known['inference'])}, as for the scores below."
    )


def _data(known: Values) -> str:
    training = known["training"]
    height, width = training["median_size"]
    counts = training["images_by_class"]
    rows = [
        f"| {part['label']} | {part['class']} | {counts.get(part['class'], '')} |" for part in known["labels"]
    ]
    return "\n".join(
        [
            "## Data",
            "",
            f"{training['images']} training images of {known['dataset']}, in the median {width} x {height}.",
            "",
            "| label | class | training images that show it |",
            "|---|---|---|",
            *rows,
        ]
    )


def _supervision(known: Values) -> str:
    training, initial = known["training"], known["initial_weights"]
    lines = [
        "## Supervision",
        "",
        f"- Trained on: {training['supervision']}.",
        f"- System: `{training['system']}`, run {training['run']}.",
    ]
    if "threshold" in training:
        crf = "with" if training["crf"] else "without"
        lines.append(f"- Pseudo labels: class maps cut at {training['threshold']}, {crf} a dense CRF.")
    lines += [
        f"- Initial weights: {initial['supervision']}. Licence: {initial['licence']}.",
        f"- Labels of pixels were {'used' if known['pixel_labels_used'] else 'not used'}.",
    ]
    return "\n".join(lines)


def _scores(known: Values) -> str:
    scores = known["scores"]
    if scores is None:
        return "## Scores\n\nNot measured: the data set has no masks to compare with."
    shown = ", ".join(f"{metric.title} {_percent(scores[name])}" for name, metric in SHOWN.items())
    rows = [f"| {part['class']} | {_percent(part['iou'])} |" for part in scores["per_class"]]
    return "\n".join(
        [
            "## Scores",
            "",
            f"{shown} percent on the split {scores['split']}, {scores['images']} images; {scores['means']}. "
            f"{scores['truth_ignored'].capitalize()} do not count. One run.",
            "",
            "| class | IoU, percent |",
            "|---|---|",
            *rows,
        ]
    )


def _limits(known: Values) -> str:
    height, width = known["training"]["median_size"]
    side = known["training"].get("long_side")
    larger = (
        f"larger pictures are shown to it at {side} pixels of the longer side"
        if side
        else f"for much larger pictures give `--long-side {max(width, height)}`"
    )
    return (
        "## Limits\n\n"
        "- It knows the classes above; all else is background, and what often stands beside a class may be "
        "labelled as it, for no training label told them apart.\n"
        f"- Objects should be about as large as in the training images ({width} x {height} pixels); "
        f"{larger}.\n"
        "- Probabilities are a network's, not calibrated.\n"
        "- What the training images or the initial weights were biased to, so is it; it was tested on "
        "nothing but what is said above."
    )


def _settings(inference: Values) -> str:
    parts = {name: value for name, value in inference.items() if name not in ("crf", "tags")}
    shown = ", ".join(f"{name} {value}" for name, value in parts.items())
    return f"{shown}, {'a' if inference['crf'] else 'no'} dense CRF"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
