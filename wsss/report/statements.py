"""Sentences that say what a comparison's numbers were measured on."""

from __future__ import annotations

import pandas as pd

STAGE_NAMES = {"seed": "Seed", "pseudo": "Pseudo labels", "segmentation": "Segmentation"}
SPLITS = {
    "seed": "training images that have a mask",
    "train": "training images that have a mask",
    "val": "validation images",
}
MISSING = "not measured"
COSTS = (
    "Times and memory are those of Snakemake's benchmark files, on the machine and the cores it ran on.",
    "Training: wall time of the jobs that trained the system's networks; an interrupted one counts from its "
    "last start. Maps and labels: wall time of the jobs that made those of the training images, of which a "
    "single stage needs none. Jobs that several systems share count in full for each of them.",
    "In CAM's: wall time up to class maps, without pseudo labels and the segmentation network, by that of "
    "the first row of plain CAM; it compares what ran on one device.",
    "Images a second: all validation images by the wall time of the prediction jobs, with start-up and any "
    "dense CRF. Peak memory: the largest resident memory of one job, without the GPU's.",
    "Parameters: of all the system's networks, and in brackets of the one that labels new images.",
)


def runs(table: pd.DataFrame, deviation: bool = True) -> str:
    """How many runs the means are over."""
    runs = str(table["runs"].iloc[0]).split()
    listed = ", ".join(runs)
    if len(runs) == 1:
        return f"one run ({listed})" + (", so no deviation" if deviation else "")
    return f"mean{' ± sample deviation' if deviation else ''} over {len(runs)} runs ({listed})"


def measured(table: pd.DataFrame, stage: str, rule: bool = True) -> list[str]:
    """What a stage's scores were measured on: one sentence where it is the same for all systems.

    Args:
        table: The comparison.
        stage: Name of the stage.
        rule: Whether to say how the threshold or the way of inference was chosen.

    Returns:
        Sentences, none where nothing was measured.
    """
    known = table[table[f"{stage}_miou"].notna()]
    groups: dict[str, list[str]] = {}
    for row in known.to_dict("records"):
        split, images = row[f"{stage}_split"], int(row[f"{stage}_images"])
        parts = [row[f"{stage}_measured"], f"{images} {SPLITS.get(split, 'images')} (split {split})"]
        parts += [row[f"{stage}_rule"]] if rule and pd.notna(row[f"{stage}_rule"]) else []
        groups.setdefault("; ".join(parts), []).append(row["system"])
    if len(groups) == 1:
        return [f"{capital(sentence)}." for sentence in groups]
    return [f"{', '.join(names)}: {sentence}." for sentence, names in groups.items()]


def left_out(table: pd.DataFrame, columns: list[str]) -> str:
    """Which systems lack a number that a chart shows."""
    names = table.loc[table[columns].isna().any(axis=1), "system"]
    return f"Not measured: {', '.join(names)}." if len(names) else ""


def capital(text: str) -> str:
    """A sentence with its first letter as a capital."""
    return text[:1].upper() + text[1:]
