"""Whether the parts of the configuration fit together, beyond what each variant says of itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

from wsss.config.errors import ConfigError
from wsss.config.systems import PATCHES, TRUTH, Chain, Config, asked_of
from wsss.config.thresholds import UNREFINED, check_refiners, check_thresholds, unsuited
from wsss.config.timm_names import check_timm_names
from wsss.methods.class_maps.registry import CHECKS, NEED_ATTENTION
from wsss.methods.derived_maps.registry import CHECKS as MAKER_CHECKS
from wsss.single_stage.registry import CHECKS as SINGLE_CHECKS
from wsss.single_stage.registry import SOURCES

WITHOUT_ATTENTION = ("cnn",)  # kinds of classifier
COARSER_THAN_TOKENS = 32  # output stride of the published Conformer, whose tokens are 16 pixels wide
PLAIN = "cam"
# Methods whose maps are taken under their own name, which paths and pictures rely on.
FIXED_METHODS = {
    PLAIN: "the plain class maps, which pictures show beside the method's",
    PATCHES: "the scores of single_stage's variants",
}
# Folders that lie beside those named after a section's variants.
FOLDERS = {
    "classifiers": (TRUTH,),
    "single_stage": (TRUTH,),
    "datasets": ("logs", "benchmarks", "pretrain"),
    "methods": ("cams", "attention", "events", "train", "val", "test"),
    "segmenters": (
        "irn",
        "labels",
        "maps",
        "pseudo",
        "pseudo_counts",
        "seed_counts",
        "thresholds",
        "value_counts",
    ),
}


def check_config(config: Config) -> None:
    """Check what no model can: that names refer to something and that a chain's parts fit.

    Args:
        config: The configuration, valid by :class:`wsss.config.configuration.Configuration`.

    Raises:
        ConfigError: Lists every finding with its key.
    """
    findings = (
        check_refiners(config) + _check_names(config) + _check_single_names(config) + check_timm_names(config)
    )
    findings += _check_starts(config) + _check_shared(config) + _check_makers(config)
    findings += [
        f"methods.{name}: expected {meaning}"
        for name, meaning in FIXED_METHODS.items()
        if config["methods"].get(name, {}).get("kind") != name
    ]
    for name, dataset in config["datasets"].items():
        findings += [f"datasets.{name}.{finding}" for finding in _check_dataset(config, dataset)]
    if findings:
        lines = "\n".join(f"  {line}" for line in findings)
        raise ConfigError(f"the configuration does not fit together:\n{lines}")


def _check_names(config: Config) -> list[str]:
    return [
        f"{section}.{name}: expected another name, a folder of the results has this one"
        for section, folders in FOLDERS.items()
        for name in folders
        if name in config[section]
    ]


def _check_starts(config: Config) -> list[str]:
    """A classifier goes on from one that does not go on itself: no two can wait for each other."""
    starts = {name: variant["initial"].get("classifier") for name, variant in config["classifiers"].items()}
    trained = [name for name, variant in config["classifiers"].items() if not variant["weights_of"]]
    first = [name for name in trained if starts[name] is None]
    return [
        f"classifiers.{name}.initial.classifier: expected a classifier that starts from weights of its own "
        f"({', '.join(first)}), found {start!r}"
        for name, start in starts.items()
        if start is not None and start not in first
    ]


def _check_shared(config: Config) -> list[str]:
    """Weights are shared with a classifier that is trained itself, and in the same way."""
    classifiers = config["classifiers"]
    trained = [name for name, variant in classifiers.items() if not variant["weights_of"]]
    findings = []
    for name, variant in classifiers.items():
        key, shared = f"classifiers.{name}.weights_of", variant["weights_of"]
        if shared and shared not in trained:
            known = ", ".join(trained)
            findings.append(
                f"{key}: expected a classifier that is trained itself ({known}), found {shared!r}"
            )
        elif shared:
            findings += [
                f"{key}: expected the {part} of {shared!r}, found another {part}; extend {shared!r} "
                f"without a {part} of its own, or drop weights_of"
                for part in ("network", "initial", "training")
                if variant[part] != classifiers[shared][part]
            ]
    return findings


def _check_makers(config: Config) -> list[str]:
    """Maps are derived of classifiers that can give them."""
    return [
        f"classifiers.{name}.maps: {maps['kind']} takes {lacks}"
        for name, variant in config["classifiers"].items()
        if (maps := variant["maps"]) and (lacks := MAKER_CHECKS[maps["kind"]](variant))
    ]


def _check_single_names(config: Config) -> list[str]:
    return [
        f"single_stage.{name}: expected another name, a classifier has this one"
        for name in config["single_stage"]
        if name in config["classifiers"]
    ]


def _check_dataset(config: Config, dataset: Config) -> list[str]:
    main, inferences = dataset["main"], dataset["inferences"]
    findings = [
        finding
        for part in Chain._fields
        for finding in _unknown(config, f"main.{part}", (f"{part}s",), [main[part]])
    ]
    findings += _check_inferences(config, "inferences", "inferences", inferences, main["inference"])
    findings = findings or _check_chain(config, "main", main)
    findings += check_thresholds(config, dataset)
    used = dataset.get("single_stage")
    single = [] if used is None else _check_single_stage(config, used)
    if findings or single:
        return findings + single
    if used is not None:
        findings = _check_systems(config, "single_stage.costs", used.get("costs", []), dataset)
    return findings if dataset.get("compare") is None else findings + _check_comparison(config, dataset)


def _unknown(config: Config, key: str, sections: Sequence[str], names: Iterable[str]) -> list[str]:
    """Findings for the names that none of the sections has."""
    known = [name for section in sections for name in config[section]]
    return [
        f"{key}: expected one of {' or '.join(sections)} ({', '.join(known)}), found {name!r}"
        for name in names
        if name not in known
    ]


def _check_inferences(
    config: Config, key: str, section: str, names: Sequence[str], main: str | None
) -> list[str]:
    """Scores are told apart by the settings that made them, so no two may be equal."""
    if findings := _unknown(config, key, (section,), names):
        return findings
    if main is not None and main not in names:
        return [f"{key}: expected the main one, {main!r}, among {list(names)}"]
    return [
        f"{key}: expected different settings, found the same for {one!r} and {other!r}; drop one"
        for one, other in combinations(names, 2)
        if config[section][one] == config[section][other]
    ]


def _check_single_stage(config: Config, single: Config) -> list[str]:
    key, section, variants = "single_stage", "single_stage_inferences", ("single_stage",)
    findings = [
        *_unknown(config, f"{key}.main", variants, [single["main"]]),
        *_unknown(config, f"{key}.ablation", variants, single["ablation"]),
        *_check_inferences(config, f"{key}.inferences", section, single["inferences"], single["inference"]),
        *_check_inferences(config, f"{key}.pseudo", section, single["pseudo"], None),
    ]
    findings = findings or _check_untagged(config, f"{key}.inference", single["inference"])
    findings = findings or _check_otherwise(config, f"{key}.otherwise", single)
    return findings or [
        *_check_asked(config, f"{key}.main", single["main"], single),
        *(
            finding
            for variant in single["ablation"]
            if variant != single["main"]
            for finding in _check_asked(config, f"{key}.ablation", variant, single)
        ),
    ]


def _check_otherwise(config: Config, key: str, single: Config) -> list[str]:
    """Findings of variants that the data set asks in ways of their own."""
    section, findings = "single_stage_inferences", []
    for name, asked in single.get("otherwise", {}).items():
        findings += _unknown(config, key, ("single_stage",), [name])
        wrong = [
            *_unknown(config, f"{key}.{name}.inference", (section,), [asked["inference"]]),
            *_check_inferences(config, f"{key}.{name}.pseudo", section, asked["pseudo"], None),
        ]
        findings += wrong or _check_untagged(config, f"{key}.{name}.inference", asked["inference"])
        if name == single["main"]:
            findings.append(f"{key}: expected other variants than the main one, found {name!r}")
    return findings


def _check_untagged(config: Config, key: str, inference: str) -> list[str]:
    """Findings of a score of val that would rest on val's image labels."""
    if not config["single_stage_inferences"][inference]["tags"]:
        return []
    return [f"{key}: expected one without the image labels of val, found {inference!r} (tags: true)"]


def _check_asked(config: Config, key: str, variant: str, single: Config) -> list[str]:
    """Findings of a variant of a single-stage method under the ways in which the data set asks it."""
    asked = asked_of(variant, single)
    return _check_reading(config, key, variant, [*asked.val, *asked.pseudo])


def _check_reading(config: Config, key: str, variant: str, inferences: Sequence[str]) -> list[str]:
    """Findings of a variant that is asked to predict in these ways."""
    settings = config["single_stage"][variant]
    kind, ways = settings["kind"], {name: config["single_stage_inferences"][name] for name in inferences}
    findings = [
        f"{key}: expected source {' or '.join(SOURCES[kind])} of {variant!r}, of kind {kind}, found "
        f"{way['source']} in {name}"
        for name, way in ways.items()
        if way["source"] not in SOURCES[kind]
    ]
    if findings or kind not in SINGLE_CHECKS:
        return findings
    return SINGLE_CHECKS[kind](key, variant, settings, ways)


def _check_comparison(config: Config, dataset: Config) -> list[str]:
    main, methods = dataset["main"], dataset["compare"]["sensitivity"]
    findings = _check_systems(config, "compare.systems", dataset["compare"]["systems"], dataset)
    replaced = ("classifiers", "refiners", "segmenters", "single_stage")
    findings += _unknown(config, "compare.instead", replaced, dataset["compare"]["instead"])
    findings += _unknown(config, "compare.sensitivity", ("methods",), methods)
    for method in methods:
        if method in config["methods"]:
            chain = {**main, "method": method, "refiner": UNREFINED}
            findings += _check_chain(config, "compare.sensitivity", chain)
    return findings


def _check_systems(config: Config, key: str, systems: Sequence[Config], dataset: Config) -> list[str]:
    """Findings of systems that are compared in one table."""
    names = [system["name"] for system in systems]
    findings = [
        f"{key}: expected different names, found {name!r} twice"
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    for system in systems:
        findings += _check_system(config, f"{key}.{system['name']}", system, dataset)
    return findings


def _check_system(config: Config, key: str, system: Config, dataset: Config) -> list[str]:
    if "single_stage" in system:
        single = dataset.get("single_stage")
        if single is None:
            wanted = f"inferences for {system['single_stage']!r} in the data set's single_stage"
            return [f"{key}: expected {wanted}, found none"]
        return _check_single_system(config, key, system, single)
    segmenters = [system["segmenter"]] if system["segmenter"] else []
    if "truth" in system:
        return _unknown(config, f"{key}.segmenter", ("segmenters",), segmenters)
    findings = [
        *_unknown(config, f"{key}.classifier", ("classifiers", "single_stage"), [system["classifier"]]),
        *_unknown(config, f"{key}.method", ("methods",), [system["method"]]),
        *_unknown(config, f"{key}.refiner", ("refiners",), [system["refiner"]]),
        *_unknown(config, f"{key}.segmenter", ("segmenters",), segmenters),
    ]
    return findings or _check_chain(config, key, system)


def _check_single_system(config: Config, key: str, system: Config, single: Config) -> list[str]:
    """Findings of a variant of a single-stage method, and of how its row is to be predicted."""
    variant = system["single_stage"]
    if findings := _unknown(config, f"{key}.single_stage", ("single_stage",), [variant]):
        return findings
    asked = asked_of(variant, single)
    inference = system.get("inference") or asked.inference
    if inference not in asked.val:
        return [f"{key}.inference: expected one of {asked.val}, as of {variant!r}, found {inference!r}"]
    findings = _check_untagged(config, f"{key}.inference", inference)
    return findings or _check_reading(config, f"{key}.single_stage", variant, [inference, *asked.pseudo])


def _check_chain(config: Config, key: str, chain: Config) -> list[str]:
    """Findings of a method that does not fit its classifier or refiner; ``key`` is where they are named."""
    findings = _check_maps(config, key, chain)
    method, asks = config["methods"][chain["method"]], f"{key}.method: {chain['method']!r}"
    single = chain["classifier"] in config["single_stage"]
    if single or method["kind"] == PATCHES:
        fits = single and chain["method"] == PATCHES
        needed = f"expected {PATCHES!r} with variants of single_stage, and only with them; found classifier"
        return findings if fits else [f"{asks}: {needed} {chain['classifier']!r}"]
    classifier = config["classifiers"][chain["classifier"]]
    views, kind = classifier["views"], method["kind"]
    if kind in NEED_ATTENTION and classifier["network"]["kind"] in WITHOUT_ATTENTION:
        return [f"{asks} needs attention, which classifier {chain['classifier']!r} does not have"]
    if kind in NEED_ATTENTION and classifier["maps"]:
        derived = classifier["maps"]["kind"]
        return [
            f"{asks} needs attention, which classifier {chain['classifier']!r} does not store beside maps by "
            f"{derived}; take method {PLAIN!r}"
        ]
    if _is_coarse(classifier["network"]):
        findings += _check_coarse_maps(key, chain, kind, views)
    if kind in CHECKS:
        findings += CHECKS[kind](key, chain, method, classifier)
    return findings


def _is_coarse(network: Config) -> bool:
    return network["kind"] == "conformer" and network["output_stride"] == COARSER_THAN_TOKENS


def _check_maps(config: Config, key: str, chain: Config) -> list[str]:
    wrong = unsuited(config, chain["classifier"], chain["method"], chain["refiner"])
    return [f"{key}.refiner: {wrong}"] if wrong else []


def _check_coarse_maps(key: str, chain: Config, kind: str, views: Config) -> list[str]:
    """Attention relates tokens of 16 pixels; maps on another grid can only be taken as they are."""
    network = f"classifiers.{chain['classifier']}"
    if kind in NEED_ATTENTION:
        asks = f"{key}.method: {chain['method']!r} needs"
    elif views["attention_steps"] > 0:
        asks = f"{key}.classifier: {network}.views.attention_steps {views['attention_steps']} needs"
    elif views.get("transcam", False):
        asks = f"{key}.classifier: {network}.views.transcam needs"
    else:
        return []
    return [
        f"{asks} maps on the tokens' grid, which {network}.network.output_stride {COARSER_THAN_TOKENS} does "
        f"not give; take output_stride 16, or views.attention_steps 0 and views.transcam false with method "
        f"{PLAIN!r}"
    ]
