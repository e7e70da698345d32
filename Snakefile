from pathlib import Path

from snakemake.utils import min_version

from wsss.config.reading import resolved
from wsss.workflow.fingerprint import fingerprint
from wsss.workflow.plan import Plan

min_version("9.0")
# Bash waits for the stage that SIGTERM ends, which may have a checkpoint to write; before 5.1 it would leave at once.
shell.prefix("set -euo pipefail; trap : TERM; ")


configfile: workflow.source_path("config.yaml")


report: "report/workflow.rst"


config.update(resolved(config, Path(workflow.basedir)))  # the presets beside this file
plan = Plan(config)


wildcard_constraints:
    dataset=plan.pattern("datasets"),
    run=plan.runs(),
    classifier=plan.pattern("classifiers", "single_stage"),
    method=plan.pattern("methods"),
    refiner=plan.pattern("refiners"),
    segmenter=plan.pattern("segmenters"),
    single=plan.pattern("single_stage"),
    labeller=plan.labellers(),
    predictor=plan.predictors(),
    inference=plan.pattern("inferences", "single_stage_inferences"),
    network=plan.pattern("pretraining"),
    split="train|val|test",
    score="seg|pseudo",
    shard=r"\d{3}of\d{3}",
    part=r"\d{3}of\d{3}",
    threshold=plan.threshold_rules(),


include: "rules/data.smk"
include: "rules/classify.smk"
include: "rules/cam.smk"
include: "rules/irn.smk"
include: "rules/pseudo.smk"
include: "rules/segment.smk"
include: "rules/single_stage.smk"
include: "rules/evaluate.smk"
include: "rules/predictor.smk"
include: "rules/report.smk"
include: "rules/compare.smk"


rule demo:
    default_target: True
    input:
        scores="results/sample/seg_miou.json",
        picture="results/sample/examples.png",
