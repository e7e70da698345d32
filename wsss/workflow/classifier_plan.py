"""What the rules of classifiers ask: which are trained, whose weights they have, how their maps are made."""

from __future__ import annotations

from wsss.config.systems import Config, trained_as
from wsss.workflow.fingerprint import fingerprint
from wsss.workflow.wildcards import Wildcards, alternatives


class ClassifierPlan:
    """Answers by the wildcard ``classifier``."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._variants: Config = config["classifiers"]

    def trained(self) -> str:
        """Wildcard constraint: those that are trained, not given the weights of another."""
        return alternatives(name for name, variant in self._variants.items() if not variant["weights_of"])

    def extracting(self) -> str:
        """Wildcard constraint: those whose maps are of a forward pass."""
        return alternatives(name for name, variant in self._variants.items() if not variant["maps"])

    def deriving(self) -> str:
        """Wildcard constraint: those that are differentiated for their maps."""
        return alternatives(name for name, variant in self._variants.items() if variant["maps"])

    def weights(self, wildcards: Wildcards) -> str:
        """Its trained weights, which it may share with another; a single stage's of a variant of that."""
        return self._path(wildcards, trained_as(self._config, wildcards.classifier))

    def before(self, wildcards: Wildcards) -> str | list[str]:
        """The trained classifier of the same run that it goes on from, if it does."""
        name = self._variants[wildcards.classifier]["initial"].get("classifier")
        return self._path(wildcards, name) if name else []

    def training_code(self, wildcards: Wildcards) -> str:
        """Digest of the training's code; of the ways to train its own alone counts."""
        kind = self._variants[wildcards.classifier]["training"]["kind"]
        return fingerprint("train_classifier", entry=kind)

    def maps_code(self, wildcards: Wildcards) -> str:
        """Digest of the code that derives its maps; of the makers its own alone counts."""
        return fingerprint("derive_maps", entry=self._variants[wildcards.classifier]["maps"]["kind"])

    def _path(self, wildcards: Wildcards, name: str) -> str:
        return f"results/{wildcards.dataset}/run{wildcards.run}/{name}/weights.safetensors"
