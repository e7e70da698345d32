"""What the rules of single stages ask: which variants, by which inferences, scored on which images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

from wsss.config.errors import ConfigError
from wsss.config.systems import Asked, Config, System, asked_of, system_of
from wsss.workflow.asked import counted_parts, manifest_of, section
from wsss.workflow.fingerprint import fingerprint
from wsss.workflow.wildcards import Wildcards

SCORED_SPLITS = {"seg": "val", "pseudo": "train"}  # by the kind of score


class SingleStagePlan:
    """Answers about a data set's single stage, and by the wildcards ``single`` and ``score``."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def code(self, rule: str) -> Callable[[Wildcards], str]:
        """Digest of a rule's code, a param function; of the methods the variant's own alone counts."""
        return partial(self._code, rule)

    def _code(self, rule: str, wildcards: Wildcards) -> str:
        return fingerprint(rule, entry=self._config["single_stage"][wildcards.single]["kind"])

    def main(self, wildcards: Wildcards) -> str:
        """The data set's main variant."""
        name: str = self._settings(wildcards)["main"]
        return name

    def ablation(self, wildcards: Wildcards) -> list[str]:
        """The variants that the data set's table of ablations has."""
        return list(self._settings(wildcards)["ablation"])

    def ablation_settings(self, wildcards: Wildcards) -> dict[str, Any]:
        """Method and training of each of these variants, by name."""
        variants = self._config["single_stage"]
        return {
            name: {key: variants[name][key] for key in ("kind", "training")}
            for name in self.ablation(wildcards)
        }

    def costed(self, wildcards: Wildcards) -> list[System]:
        """The systems whose hours the data set's table of costs has."""
        dataset = self._config["datasets"][wildcards.dataset]
        if not (entries := self._settings(wildcards).get("costs", [])):
            key = f"datasets.{wildcards.dataset}.single_stage.costs"
            raise ConfigError(f"{key}: expected systems to tell the costs of, found none")
        return [system_of(entry, dataset) for entry in entries]

    def cost_settings(self, wildcards: Wildcards) -> list[dict[str, Any]]:
        """The fields of each of them, for a stage to read."""
        return [asdict(system) for system in self.costed(wildcards)]

    def split(self, wildcards: Wildcards) -> str:
        """The split that a score is measured on."""
        return SCORED_SPLITS[wildcards.score]

    def manifest(self, wildcards: Wildcards) -> str:
        """The manifest of that split."""
        return manifest_of(wildcards.dataset, self.split(wildcards))

    def parts(self, wildcards: Wildcards) -> list[str]:
        """The jobs that count that split."""
        return counted_parts(self._config, wildcards.dataset, self.split(wildcards))

    def inferences(self, wildcards: Wildcards) -> list[str]:
        """How the variant predicts that split."""
        asked = self._asked(wildcards)
        return asked.pseudo if wildcards.score == "pseudo" else asked.val

    def inference(self, wildcards: Wildcards) -> str:
        """The one of these inferences whose score counts."""
        asked = self._asked(wildcards)
        return asked.pseudo[0] if wildcards.score == "pseudo" else asked.inference

    def inference_settings(self, wildcards: Wildcards) -> dict[str, Any]:
        """The settings of these inferences, by name."""
        settings = self._config["single_stage_inferences"]
        return {name: settings[name] for name in self.inferences(wildcards)}

    def _asked(self, wildcards: Wildcards) -> Asked:
        return asked_of(wildcards.single, self._settings(wildcards))

    def _settings(self, wildcards: Wildcards) -> Config:
        return section(self._config, wildcards.dataset, "single_stage")
