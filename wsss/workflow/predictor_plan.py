"""What the rule that packages a trained network asks: which network, and what is to be said of it."""

from __future__ import annotations

from typing import Any

from wsss.config.datasets import data_of
from wsss.config.systems import Chain, Config, trained_as
from wsss.config.thresholds import pseudo_settings
from wsss.data.truth import unscored
from wsss.workflow.wildcards import Wildcards


class PredictorPlan:
    """Answers by the wildcard ``stage``: empty for the main chain's segmenter, ``apc/`` for the single stage.

    The network is that of the first run; which run scored best is not asked.
    """

    def __init__(self, config: Config) -> None:
        self._config = config

    def kind(self, wildcards: Wildcards) -> str:
        """The kind of network, see :func:`wsss.prediction.scorers.load_scorer`."""
        return str(self._variant(wildcards)["kind"]) if wildcards.stage else "segmenter"

    def weights(self, wildcards: Wildcards) -> str:
        """The network's weights."""
        return f"{self._folder(wildcards)}/weights.safetensors"

    def scores(self, wildcards: Wildcards) -> str | list[str]:
        """The network's score, or no file where the data set has nothing to score it by."""
        nothing = unscored(data_of(self._config["datasets"][wildcards.dataset]), "val")
        return [] if nothing else f"{self._folder(wildcards)}/seg_miou.json"

    def ancestors(self, wildcards: Wildcards) -> list[str]:
        """Weights of what made its training labels: the main chain's classifier and any IRNet."""
        if wildcards.stage:
            return []
        chain = self._chain(wildcards)
        classifier = f"{self._run(wildcards)}/{chain.classifier}"
        irn = f"{classifier}/{chain.method}/{chain.refiner}/irn/weights.safetensors"
        walks = "network" in self._config["refiners"][chain.refiner]
        first = f"{self._run(wildcards)}/{trained_as(self._config, chain.classifier)}"
        return [f"{first}/weights.safetensors", *([irn] if walks else [])]

    def network(self, wildcards: Wildcards) -> Config:
        """The network's settings."""
        if wildcards.stage:
            network: Config = self._variant(wildcards)["network"]
        else:
            network = self._config["segmenters"][self._chain(wildcards).segmenter]["network"]
        return network

    def inference(self, wildcards: Wildcards) -> Config:
        """The settings of the inference that its score counts by."""
        if wildcards.stage:
            ways = self._config["single_stage_inferences"]
            settings: Config = ways[self._single(wildcards)["inference"]]
        else:
            settings = self._config["inferences"][self._chain(wildcards).inference]
        return settings

    def labels(self, wildcards: Wildcards) -> dict[str, Any]:
        """What the network was trained on, which system made that, and any size set for pictures."""
        dataset = self._config["datasets"][wildcards.dataset]
        read = {"long_side": side} if (side := dataset.get("long_side")) else {}
        if wildcards.stage:
            return {"system": self._system(wildcards), "supervision": "image labels", **read}
        chain = self._chain(wildcards)
        cut = pseudo_settings(self._config, dataset, chain.classifier, chain.method, chain.refiner)
        supervision = "pseudo labels made from image labels"
        return {"system": self._system(wildcards), "supervision": supervision, **cut, **read}

    def _folder(self, wildcards: Wildcards) -> str:
        return f"{self._run(wildcards)}/{self._system(wildcards)}"

    def _run(self, wildcards: Wildcards) -> str:
        run = self._config["datasets"][wildcards.dataset]["runs"][0]
        return f"results/{wildcards.dataset}/run{run}"

    def _system(self, wildcards: Wildcards) -> str:
        if wildcards.stage:
            return str(self._single(wildcards)["main"])
        chain = self._chain(wildcards)
        return "/".join((chain.classifier, chain.method, chain.refiner, chain.segmenter))

    def _chain(self, wildcards: Wildcards) -> Chain:
        return Chain(**self._config["datasets"][wildcards.dataset]["main"])

    def _single(self, wildcards: Wildcards) -> Config:
        settings: Config = self._config["datasets"][wildcards.dataset]["single_stage"]
        return settings

    def _variant(self, wildcards: Wildcards) -> Config:
        settings: Config = self._config["single_stage"][self._single(wildcards)["main"]]
        return settings
