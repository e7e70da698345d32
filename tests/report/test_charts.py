"""The charts' data and what they say about it."""

import pandas as pd

from tests.support.settings import CONFIG
from wsss.config.systems import system_of
from wsss.report.charts import curve_chart, looks


def curve(*miou: float) -> pd.DataFrame:
    steps = [index / 10 for index in range(len(miou))]
    return pd.DataFrame({"threshold": steps, "miou": miou, "mean_fp": 0.2, "mean_fn": 0.3})


def test_curves_that_rise_to_the_sweeps_end_are_named() -> None:
    table = pd.DataFrame(
        {
            "system": ["CAM", "AD-CAM"],
            "runs": "0",
            "seed_miou": 0.4,
            "seed_split": "masked",
            "seed_images": 2,
            "seed_measured": "class maps",
            "classifier": "conformer",
            "method": ["cam", "adcam"],
        }
    )
    rising = curve_chart(table, {"CAM": curve(0.1, 0.3, 0.2), "AD-CAM": curve(0.1, 0.2, 0.3)})
    assert all(note.endswith("may be better: AD-CAM.") for note in rising.notes.values())
    inside = curve_chart(table, {"CAM": curve(0.1, 0.3, 0.2), "AD-CAM": curve(0.1, 0.3, 0.2)})
    assert not any("sweep's end" in note for note in inside.notes.values())


def test_no_two_of_many_systems_look_alike() -> None:
    settings = CONFIG["datasets"]["voc"]
    systems = [system_of(entry, settings) for entry in settings["compare"]["systems"]]
    table = pd.DataFrame([vars(system) for system in systems]).rename(columns={"name": "system"})
    chosen = looks(table)
    assert list(chosen) == [system.name for system in systems]
    assert len(set(chosen.values())) == len(systems) > 24
    assert chosen["APC"].colour == chosen["APC side 640"].colour != chosen["APC alpha 0.10"].colour
