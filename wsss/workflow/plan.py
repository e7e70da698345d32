"""What the rules ask: which shards, files and resources.

Nothing here imports torch: Snakemake reads this module each time it plans.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from wsss.config.checks import check_config
from wsss.config.datasets import Data, FolderData, data_of, data_settings
from wsss.config.errors import ConfigError
from wsss.config.systems import PATCHES, TRUTH, Chain, Config, System, networks, system_of, trained_as
from wsss.config.thresholds import UNREFINED, of_data_set, pseudo_settings, unsuited
from wsss.config.views import largest_views
from wsss.pretrained.fit import Fits
from wsss.workflow.asked import counted_parts, counted_shards, manifest_of, section, setting, shards
from wsss.workflow.classifier_plan import ClassifierPlan
from wsss.workflow.fingerprint import fingerprint
from wsss.workflow.initial import initial_files
from wsss.workflow.predictor_plan import PredictorPlan
from wsss.workflow.single_stage_plan import SingleStagePlan
from wsss.workflow.training_part import training_unchanged
from wsss.workflow.trainings import TRAININGS, WEIGHTS
from wsss.workflow.wildcards import Wildcards, alternatives

__all__ = ["ConfigError", "Plan", "check_config", "fingerprint"]

LIMITS = ("largest_image",)


class Plan:
    """Answers to the rules' questions about one configuration; most methods are input functions."""

    def __init__(self, config: Config) -> None:
        """Check the configuration; raises :class:`ConfigError` where it does not fit together."""
        check_config(config)
        self._config = config
        self.predictor = PredictorPlan(config)
        self.single = SingleStagePlan(config)
        self.classifiers = ClassifierPlan(config)
        self._fits = Fits(config)
        self._gpus: Mapping[str, int] = config.get("execution", {}).get("gpus", {})

    def pattern(self, *sections: str) -> str:
        """Wildcard constraint: the names of the sections' variants."""
        return alternatives(name for section in sections for name in self._config[section])

    def datasets(self, kind: str) -> str:
        """Wildcard constraint: the data sets of a kind."""
        return alternatives(
            name for name, settings in self._config["datasets"].items() if settings["kind"] == kind
        )

    def converted(self) -> str:
        """Wildcard constraint: the data sets whose pictures or masks are read otherwise than they are."""
        data = {name: data_of(settings) for name, settings in self._config["datasets"].items()}
        return alternatives(name for name, one in data.items() if isinstance(one, FolderData) and one.is_made)

    def keeping(self, kept: str) -> str:
        """Wildcard constraint: the data sets of which this stays of a classifier's pass, see ``keep``."""
        settings = self._config["datasets"]
        return alternatives(name for name in settings if settings[name]["keep"] == kept)

    def runs(self) -> str:
        """Wildcard constraint: the runs of all data sets."""
        runs = {run for settings in self._config["datasets"].values() for run in settings["runs"]}
        return alternatives(str(run) for run in sorted(runs))

    def walking_refiners(self) -> str:
        """Wildcard constraint: the refiners that train a network."""
        return alternatives(
            name for name, settings in self._config["refiners"].items() if "network" in settings
        )

    def map_methods(self) -> str:
        """Wildcard constraint: the methods that make a classifier's class maps."""
        methods = self._config["methods"]
        return alternatives(name for name, settings in methods.items() if settings["kind"] != PATCHES)

    def labellers(self) -> str:
        """Wildcard constraint: the folders of what labels training images for a segmentation network.

        A chain, or the images' own masks.
        """
        chain = "/".join(
            f"(?:{self.pattern(*sections)})"
            for sections in (("classifiers", "single_stage"), ("methods",), ("refiners",))
        )
        return f"{chain}|{TRUTH}"

    def predictors(self) -> str:
        """Wildcard constraint: the folders of what predicts, a segmentation network or a single stage."""
        return f"(?:{self.labellers()})/(?:{self.pattern('segmenters')})|{self.pattern('single_stage')}"

    def setting(self, path: str, **more: Callable[[Wildcards], Any]) -> Callable[[Wildcards], Any]:
        """A part of the configuration, see :func:`wsss.workflow.asked.setting`."""
        return setting(self._config, path, **more)

    def shards(self, wildcards: Wildcards) -> list[str]:
        """Shards of the data set's split train."""
        return shards(self._config, wildcards.dataset, "train")

    def val_shards(self, wildcards: Wildcards) -> list[str]:
        """Shards of the data set's splits val and test, each."""
        return shards(self._config, wildcards.dataset, "val")

    def train_parts(self, wildcards: Wildcards) -> list[str]:
        """Jobs that count train for a score; refuses one of a data set that has nothing to score."""
        return counted_parts(self._config, wildcards.dataset, "train")

    def val_parts(self, wildcards: Wildcards) -> list[str]:
        """The same of val."""
        return counted_parts(self._config, wildcards.dataset, "val")

    def counted_train(self, wildcards: Wildcards) -> list[str]:
        """Shards of train that such a job counts."""
        return counted_shards(self._config, wildcards.dataset, "train", wildcards.part)

    def counted(self, wildcards: Wildcards) -> list[str]:
        """The same of any split."""
        return counted_shards(self._config, wildcards.dataset, wildcards.split, wildcards.part)

    def chain(self, wildcards: Wildcards) -> Chain:
        """The data set's main chain."""
        return Chain(**self._dataset(wildcards)["main"])

    def main(self, wildcards: Wildcards) -> list[Chain]:
        """The data set's main chain alone in a list, as ``collect`` asks for."""
        return [self.chain(wildcards)]

    def main_walking(self, wildcards: Wildcards) -> list[Chain]:
        """The data set's main chain if its refiner trains a network, or an empty list."""
        refiners = self._config["refiners"]
        return [chain for chain in self.main(wildcards) if "network" in refiners[chain.refiner]]

    def main_weights(self, wildcards: Wildcards) -> str:
        """The segmentation network of the main chain's first run."""
        chain, first = self.chain(wildcards), self._dataset(wildcards)["runs"][0]
        run = f"results/{wildcards.dataset}/run{first}/{chain.classifier}/{chain.method}/{chain.refiner}"
        return f"{run}/{chain.segmenter}/weights.safetensors"

    def irn_weights(self, wildcards: Wildcards) -> str | list[str]:
        """The chain's trained IRNet, or no file where its refiner trains none."""
        if "network" not in self._config["refiners"][wildcards.refiner]:
            return []
        run = f"results/{wildcards.dataset}/run{wildcards.run}/{wildcards.classifier}/{wildcards.method}"
        return f"{run}/{wildcards.refiner}/irn/weights.safetensors"

    def threshold_rules(self) -> str:
        """Wildcard constraint: the rules on whole data sets by which thresholds are chosen."""
        refiners = self._config["refiners"].values()
        chosen = [refiner["pseudo"]["threshold"] for refiner in refiners]
        chosen += [refiner["labels"].get("threshold") for refiner in refiners if "labels" in refiner]
        for dataset in self._config["datasets"].values():
            chosen += dataset.get("thresholds", {}).values()
        return alternatives(sorted({rule for rule in chosen if of_data_set(rule)}))

    def pseudo_threshold(self, wildcards: Wildcards) -> str | list[str]:
        """The file of the threshold of pseudo labels, where a rule on the data set's maps finds it."""
        self._check_suited(wildcards)
        return _threshold_file(wildcards, wildcards.refiner, self.configured_threshold(wildcards))

    def pseudo_settings(self, wildcards: Wildcards) -> dict[str, Any]:
        """How a chain's pseudo labels are cut: ``threshold``, a number or a rule, and ``crf``."""
        dataset = self._dataset(wildcards)
        return pseudo_settings(
            self._config, dataset, wildcards.classifier, wildcards.method, wildcards.refiner
        )

    def configured_threshold(self, wildcards: Wildcards) -> float | str:
        """The threshold of them, at which class maps are scored beside the sweep."""
        threshold: float | str = self.pseudo_settings(wildcards)["threshold"]
        return threshold

    def label_threshold(self, wildcards: Wildcards) -> str | list[str]:
        """The same of IRNet's training labels, which are cut from unrefined maps."""
        self._check_suited(wildcards)
        rule = self._config["refiners"][wildcards.refiner]["labels"].get("threshold")
        return _threshold_file(wildcards, UNREFINED, rule)

    def _check_suited(self, wildcards: Wildcards) -> None:
        """Refuse a chain that no data set names, asked for by its path, as those that are named."""
        if wrong := unsuited(self._config, wildcards.classifier, wildcards.method, wildcards.refiner):
            raise ConfigError(f"refiners.{wildcards.refiner}: {wrong}")

    def training_labels(self, wildcards: Wildcards) -> str:
        """The folder of the label maps that a segmentation network is trained on."""
        labeller = wildcards.labeller
        return TRUTH if labeller == TRUTH else f"run{wildcards.run}/{labeller}/pseudo"

    def labeller_weights(self, wildcards: Wildcards) -> str | list[str]:
        """The first network of the chain that labels the training images, or no file for their masks."""
        if wildcards.labeller == TRUTH:
            return []
        classifier = trained_as(self._config, wildcards.labeller.split("/")[0])
        return f"results/{wildcards.dataset}/run{wildcards.run}/{classifier}/weights.safetensors"

    def labeller_irn_weights(self, wildcards: Wildcards) -> str | list[str]:
        """That chain's trained IRNet, or no file where its refiner trains none."""
        refiner = wildcards.labeller.rpartition("/")[2]
        if wildcards.labeller == TRUTH or "network" not in self._config["refiners"][refiner]:
            return []
        run = f"results/{wildcards.dataset}/run{wildcards.run}"
        return f"{run}/{wildcards.labeller}/irn/weights.safetensors"

    def classifier_file(self, wildcards: Wildcards) -> list[str]:
        """The files that the classifier starts from, those of them that are the user's."""
        return self._initial_files("train_classifier", wildcards)

    def irn_file(self, wildcards: Wildcards) -> list[str]:
        """The file that IRNet starts from, if it is one of the user's."""
        return self._initial_files("train_irn", wildcards)

    def segmenter_file(self, wildcards: Wildcards) -> list[str]:
        """The file that the segmentation network starts from, if it is one of the user's."""
        return self._initial_files("train_segmenter", wildcards)

    def single_stage_file(self, wildcards: Wildcards) -> list[str]:
        """The file that a single stage's encoder starts from, if it is one of the user's."""
        return self._initial_files("train_single_stage", wildcards)

    def _initial_files(self, rule: str, wildcards: Wildcards) -> list[str]:
        section, wildcard = TRAININGS[rule]
        name = getattr(wildcards, wildcard)
        variant = self._config[section][name]
        trained = partial(WEIGHTS[rule].format_map, vars(wildcards))
        return initial_files(variant, trained, partial(self._fits.misfit, section, name))

    def systems(self, wildcards: Wildcards) -> list[System]:
        """The systems that are compared on the data set."""
        entries = section(self._config, wildcards.dataset, "compare")["systems"]
        systems = [system_of(entry, self._dataset(wildcards)) for entry in entries]
        return [replace(one, trained=self._shared(one.classifier)) for one in systems]

    def _shared(self, classifier: str) -> str | None:
        """The classifier that another has its weights of, or None for one that is trained itself."""
        name = trained_as(self._config, classifier)
        return None if name == classifier else name

    def labelling_systems(self, wildcards: Wildcards) -> list[System]:
        """Those of them that make class maps and labels, which an upper bound does not."""
        return [system for system in self.systems(wildcards) if system.labels_by_itself]

    def segmenting_systems(self, wildcards: Wildcards) -> list[System]:
        """Those of them that segment images without labels."""
        return [system for system in self.systems(wildcards) if system.segments]

    def system_settings(self, wildcards: Wildcards) -> list[dict[str, Any]]:
        """The fields of each of the systems, for a stage to read."""
        return [asdict(system) for system in self.systems(wildcards)]

    def compared_networks(self, wildcards: Wildcards) -> list[str]:
        """The folders of all networks that the systems train, each once."""
        trained = (one.folder for system in self.systems(wildcards) for one in networks(self._config, system))
        return list(dict.fromkeys(trained))

    def seed(self, wildcards: Wildcards) -> int:
        """What the run's random numbers start from: its own number."""
        return int(wildcards.run)

    def source(self, wildcards: Wildcards) -> str | list[str]:
        """The folder that a rule made for the data set, or no file where none did."""
        return f"results/{wildcards.dataset}/source" if self._data(wildcards).is_made else []

    def tables(self, wildcards: Wildcards) -> list[str]:
        """An own data set's tables of labels, classes and splits; a change of one lists the images anew.

        Missing ones are left to the stage, which names all that is wrong at once.
        """
        data = self._data(wildcards)
        if not isinstance(data, FolderData):
            return []
        names = [data.labels, data.classes, *data.splits.values()]
        files = [Path(data.root) / name for name in names if isinstance(name, str)]
        return [str(path) for path in files if path.is_file()]

    def listed(self, ancient: Callable[[str], str]) -> Callable[[Wildcards], str]:
        """The manifest that the training images are taken from, an input function.

        Args:
            ancient: Snakemake's mark of files that are no reason to run however new they are. An own data
                set's manifest has it while its lists say the same of the training images.
        """
        return partial(self._listed, ancient)

    def _listed(self, ancient: Callable[[str], str], wildcards: Wildcards) -> str:
        manifest, training = (f"results/{wildcards.dataset}/{name}.jsonl" for name in ("manifest", "train"))
        data, source = self._data(wildcards), self.source(wildcards)
        if not isinstance(data, FolderData):
            return manifest
        made = Path(source) if isinstance(source, str) else None
        return ancient(manifest) if training_unchanged(data, made, Path(training)) else manifest

    def split_manifest(self, wildcards: Wildcards) -> str:
        """The manifest for stages that read one split: of the training images alone, or of all."""
        return manifest_of(wildcards.dataset, wildcards.split)

    def data_settings(self, wildcards: Wildcards) -> dict[str, Any]:
        """What defines the data set's images and labels, without how the work on them is cut."""
        return data_settings(self._dataset(wildcards))

    def largest_views(self, wildcards: Wildcards) -> dict[str, Any]:
        """What the sizes of the images are limited by, where they may be any; those of editions are known."""
        dataset = self._dataset(wildcards)
        views = largest_views(self._config, dataset) if dataset["kind"] == "folder" else {}
        return {name: view.model_dump() for name, view in views.items()}

    def source_settings(self, wildcards: Wildcards) -> dict[str, Any]:
        """The same without limits that change nothing in the folder that a rule makes."""
        return {key: value for key, value in self.data_settings(wildcards).items() if key not in LIMITS}

    def map_settings(self, wildcards: Wildcards) -> dict[str, Any]:
        """What made a chain's class maps, for the metrics file to say."""
        refiner = self._config["refiners"][wildcards.refiner]
        return {
            "classifier": wildcards.classifier,
            "method": {"name": wildcards.method, **self._config["methods"][wildcards.method]},
            "refiner": {"name": wildcards.refiner, "walk": refiner.get("walk")},
        }

    def inference_settings(self, wildcards: Wildcards) -> dict[str, Any]:
        """The ways of inference that are scored on the data set, by name."""
        return {name: self._config["inferences"][name] for name in self._dataset(wildcards)["inferences"]}

    def gpus(self, wildcards: Wildcards) -> int:
        """GPUs of a job: none for the generated data set, which is made for CPUs."""
        return 0 if self._dataset(wildcards)["kind"] == "sample" else 1

    def training_gpus(self, rule: str) -> Callable[[Wildcards], int]:
        """GPUs of a rule that trains, a resource function; they share its batch out among them."""
        return partial(self._training_gpus, TRAININGS[rule], self._gpus.get(rule, 1))

    def _training_gpus(self, variant: tuple[str, str], gpus: int, wildcards: Wildcards) -> int:
        if not self.gpus(wildcards):
            return 0
        section, wildcard = variant
        name = getattr(wildcards, wildcard)
        batch = self._config[section][name]["training"]["batch"]
        if batch % gpus:
            raise ConfigError(
                f"execution.gpus: expected a divisor of {section}.{name}.training.batch, which is {batch}, "
                f"found {gpus}; change either"
            )
        return gpus

    def training_threads(self, rule: str) -> Callable[[Wildcards], int]:
        """Threads of a rule that trains, a thread function; each GPU's process has its own."""
        return partial(self._training_threads, self._gpus.get(rule, 1))

    def _training_threads(self, gpus: int, wildcards: Wildcards) -> int:
        """One on the sample, whose small networks gain nothing from a second."""
        return 1 if self._dataset(wildcards)["kind"] == "sample" else 8 * gpus

    def shard_threads(self, wildcards: Wildcards) -> int:
        """Threads of a shard's job; one on the sample, so that two jobs run side by side on two cores."""
        return 1 if self._dataset(wildcards)["kind"] == "sample" else 4

    def _data(self, wildcards: Wildcards) -> Data:
        return data_of(self._dataset(wildcards))

    def _dataset(self, wildcards: Wildcards) -> Config:
        settings: Config = self._config["datasets"][wildcards.dataset]
        return settings


def _threshold_file(wildcards: Wildcards, refiner: str, rule: Any) -> str | list[str]:
    if not of_data_set(rule):
        return []
    run = f"results/{wildcards.dataset}/run{wildcards.run}/{wildcards.classifier}/{wildcards.method}"
    return f"{run}/{refiner}/thresholds/{rule}.json"
