"""Draw the comparison of several systems as one page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import validate_call

from wsss.artefacts.class_maps import ImageMaps, read_maps, size_of
from wsss.artefacts.formats import (
    ArtefactError,
    Manifest,
    PathLike,
    Record,
    Values,
    label_path,
    open_arrays,
    palette,
    read_image,
    read_json,
    read_label,
    read_manifest,
    read_mask,
    read_table,
)
from wsss.config.systems import System
from wsss.config.thresholds import UNREFINED
from wsss.data.published import published_others
from wsss.evaluation.systems import (
    FilesByRun,
    by_run,
    find_all,
    find_runs,
    label_chain,
    map_chain,
    prediction_chain,
)
from wsss.report.charts import Chart, class_chart, cost_chart, curve_chart, sensitivity_chart
from wsss.report.example_images import choose, spaced
from wsss.report.figures import CURVES
from wsss.report.page import Card, Tile, write_page
from wsss.report.pictures import heat_uri, label_uri, photo_uri
from wsss.stages.evaluate.summarise_runs import spread

Labels = NDArray[np.uint8]
SWEPT = ("neighbours", "steps")  # settings of a method that the sensitivity is drawn against
MAPS = "/maps"  # after an image's id, the name of its class maps in a shard


@validate_call
def run(
    *,
    manifest: PathLike,
    table: PathLike,
    curves: Sequence[PathLike] = (),
    curve_scores: Sequence[PathLike] = (),
    sensitivity: Sequence[PathLike] = (),
    maps: Sequence[PathLike] = (),
    labels: Sequence[PathLike] = (),
    label_indexes: Sequence[PathLike] = (),
    predictions: Sequence[PathLike] = (),
    prediction_indexes: Sequence[PathLike] = (),
    page: PathLike,
    systems: Sequence[System],
    runs: Sequence[int],
    kind: str,
    images: int,
) -> None:
    """Draw the page; headers tell files apart, and what has none is left out.

    Args:
        manifest: The data set.
        table: The comparison's table.
        curves: Threshold sweeps of the systems' class maps, of all runs.
        curve_scores: The metrics that belong to them, in the same order.
        sensitivity: Metrics of class maps whose methods differ in neighbours or steps, of all runs.
        maps: Shards of class maps of the systems' first run.
        labels: Folders of labels of training images of the first run.
        label_indexes: Their indexes, in the same order.
        predictions: Folders of predictions on val of the first run.
        prediction_indexes: Their indexes, in the same order.
        page: Where to write the page, HTML.
        systems: What is compared.
        runs: Their numbers.
        kind: Kind of the data set; other work was published on some.
        images: Images to show, half of them of val where there are predictions.
    """
    data, scores = read_manifest(manifest), read_table(table)
    if list(scores["system"]) != [system.name for system in systems]:
        raise ArtefactError(
            f"{table}: expected the systems {[system.name for system in systems]}; make it anew"
        )
    charts = [cost_chart(scores), class_chart(scores, ["background", *data.classes])]
    charts += _curves(scores, systems, by_run(curves, curve_scores), runs)
    charts += _sensitivity(sensitivity)
    charts = [chart for chart in charts if chart.figures]
    predicted, labelled = by_run(predictions, prediction_indexes), by_run(labels, label_indexes)
    on_val = list(_val_cards(data, systems, predicted, runs[0], images // 2))
    cards = [*_train_cards(data, systems, by_run(maps), labelled, runs[0], images - len(on_val)), *on_val]
    shown = sorted({index for card in cards for index in card.classes})
    classes = {index: (data.classes[index], _colour(index + 1)) for index in shown}
    write_page(page, data.dataset, scores, charts, cards, classes, published_others(kind))


def _colour(label: int) -> str:
    red, green, blue = palette()[label]
    return f"rgb({red},{green},{blue})"


def _curves(
    scores: pd.DataFrame, systems: Sequence[System], files: FilesByRun, runs: Sequence[int]
) -> list[Chart]:
    """The chart of the threshold curves, each a mean over the runs; none where no file is there."""
    found = {system.name: find_runs(files, runs, system.maps) for system in systems}
    means = {
        name: pd.concat([read_table(path) for path in paths])
        .groupby("threshold", as_index=False)[list(CURVES)]
        .mean()
        for name, paths in found.items()
        if paths
    }
    return [curve_chart(scores, means)] if means else []


def _sensitivity(paths: Sequence[PathLike]) -> list[Chart]:
    """The chart of the scores against co-neighbours and steps; none where nothing varies."""
    documents = [read_json(path) for path in paths]
    swept = [document for document in documents if set(SWEPT) <= set(document["settings"]["method"])]
    rivals = _rivals([document["settings"]["method"] for document in swept])
    groups: dict[tuple[str, float, int], list[Values]] = {}
    for document in swept:
        method = document["settings"]["method"]
        refiner = document["settings"]["refiner"]["name"]
        walked = "" if refiner == UNREFINED else f" + {refiner}"
        others = "".join(f", {key} {method.get(key)}" for key in rivals)
        chain = f"{document['settings']['classifier']}{walked}{others}"
        groups.setdefault((chain, method["neighbours"], method["steps"]), []).append(document)
    if len(groups) < 2:
        return []
    rows = [
        {"chain": chain, "neighbours": neighbours, "steps": steps, **_point(members)}
        for (chain, neighbours, steps), members in groups.items()
    ]
    return [sensitivity_chart(pd.DataFrame(rows), _scope(documents))]


def _rivals(methods: Sequence[Values]) -> list[str]:
    """What else than the swept settings differs among methods, so that only runs of one are averaged."""
    keys = sorted({key for method in methods for key in method} - {"name", *SWEPT})
    return [key for key in keys if any(method.get(key) != methods[0].get(key) for method in methods)]


def _point(documents: Sequence[Values]) -> dict[str, float | None]:
    best = spread([document["miou"] for document in documents])
    configured = spread([document["configured"]["miou"] for document in documents])
    return {
        "best": best["mean"],
        "best_deviation": best["deviation"],
        "configured": configured["mean"],
        "configured_deviation": configured["deviation"],
    }


def _scope(documents: Sequence[Values]) -> str:
    first, runs = documents[0], sorted({document["run"] for document in documents})
    return (
        f"{first['measured']}; {first['images']} training images that have a mask (split {first['split']}); "
        f"mean over {len(runs)} run{'s' if len(runs) > 1 else ''} ({', '.join(map(str, runs))})."
    )


def _train_cards(
    data: Manifest,
    systems: Sequence[System],
    maps: FilesByRun,
    labels: FilesByRun,
    run: int,
    images: int,
) -> Iterator[Card]:
    """Training images with class maps and labels; images with a mask where there are any."""
    shards = {system.name: _map_places(find_all(maps, run, map_chain(system))) for system in systems}
    folders = {system.name: find_all(labels, run, label_chain(system)) for system in systems}
    if not any([*shards.values(), *folders.values()]):
        return
    for record in choose(data.split("masked") or data.split("train"), images):
        heats = {name: _heat(places, record) for name, places in shards.items()}
        made = {name: _label(paths, record) for name, paths in folders.items()}
        tiles = []
        for system in systems:
            heat, label = heats[system.name], made[system.name]
            layers = [("class map", heat_uri(heat))] if heat is not None else []
            layers += [("labels", label_uri(label))] if label is not None else []
            tiles += [Tile(system.name, layers)] if layers else []
        yield _card(data, record, "train", tiles, made, "labels")


def _val_cards(
    data: Manifest, systems: Sequence[System], predictions: FilesByRun, run: int, images: int
) -> Iterator[Card]:
    """Validation images with predictions; their image labels may be unknown."""
    folders = {
        system.name: find_all(predictions, run, prediction_chain(system))
        for system in systems
        if system.segments
    }
    if images < 1 or not any(folders.values()):
        return
    records = data.split("val")
    labelled = any(record.classes for record in records)
    for record in choose(records, images) if labelled else spaced(records, images):
        made = {name: _label(paths, record) for name, paths in folders.items()}
        tiles = [
            Tile(name, [("prediction", label_uri(label))])
            for name, label in made.items()
            if label is not None
        ]
        yield _card(data, record, "val", tiles, made, "predictions")


def _card(
    data: Manifest,
    record: Record,
    split: str,
    tiles: Sequence[Tile],
    made: Mapping[str, Labels | None],
    what: str,
) -> Card:
    known = [label for label in made.values() if label is not None]
    return Card(
        id=record.id,
        split=split,
        classes=record.classes,
        names=[data.classes[index] for index in record.classes],
        width=record.width,
        height=record.height,
        photo=photo_uri(read_image(record)),
        truth=None if record.mask is None else label_uri(read_mask(record.mask)),
        tiles=tiles,
        disagreement=disagreement(known),
        compared=what,
    )


def disagreement(labels: Sequence[Labels]) -> float | None:
    """Share of pixels to which not all label maps, (H, W), give the same label; None for fewer than two."""
    if len(labels) < 2:
        return None
    stack = np.stack(labels)
    return float((stack != stack[0]).any(axis=0).mean())


def _map_places(paths: Sequence[PathLike]) -> dict[str, PathLike]:
    """The shard that holds each image's maps; each shard is opened once."""
    places: dict[str, PathLike] = {}
    for path in paths:
        with open_arrays(path, "maps") as shard:
            names = [name for name in shard.keys() if name.endswith(MAPS)]  # noqa: SIM118 (not a mapping)
            places |= {name.removesuffix(MAPS): path for name in names}
    return places


def _heat(places: Mapping[str, PathLike], record: Record) -> NDArray[np.float32] | None:
    """The highest of the present classes' maps at each pixel; None where no shard holds the image."""
    if record.id not in places:
        return None
    with open_arrays(places[record.id], "maps") as shard:
        maps = ImageMaps(record, read_maps(shard, record)).upsampled()
    highest: NDArray[np.float32] = maps.max(axis=0)
    return highest


def _label(folders: Sequence[PathLike], record: Record) -> Labels | None:
    """An image's label map; None where no folder holds it."""
    for folder in folders:
        if label_path(folder, record.id).is_file():
            return read_label(folder, record.id, size_of(record))
    return None
