rule copy_masks:
    input:
        manifest="results/{dataset}/train.jsonl",
    output:
        labels=directory("results/{dataset}/truth/{shard}"),
        index="results/{dataset}/truth/{shard}.jsonl",
    log:
        "results/logs/copy_masks/{dataset}/{shard}.log",
    benchmark:
        "results/benchmarks/copy_masks/{dataset}/{shard}.tsv"
    conda:
        "../envs/torch.yaml"
    resources:
        gpu=0,
    params:
        code=fingerprint("copy_masks"),
        shard="{shard}",
    script:
        "run_stage.py"


rule train_segmenter:
    input:
        manifest="results/{dataset}/train.jsonl",
        initial_file=plan.segmenter_file,
        labels=collect(
            "results/{dataset}/{labels}/{shard}",
            labels=plan.training_labels,
            shard=plan.shards,
            allow_missing=True,
        ),
        indexes=collect(
            "results/{dataset}/{labels}/{shard}.jsonl",
            labels=plan.training_labels,
            shard=plan.shards,
            allow_missing=True,
        ),
    output:
        weights="results/{dataset}/run{run}/{labeller}/{segmenter}/weights.safetensors",
        history="results/{dataset}/run{run}/{labeller}/{segmenter}/history.csv",
    log:
        "results/logs/train_segmenter/{dataset}/run{run}/{labeller}/{segmenter}.log",
    benchmark:
        "results/benchmarks/train_segmenter/{dataset}/run{run}/{labeller}/{segmenter}.tsv"
    conda:
        "../envs/openmm.yaml"
    threads: plan.training_threads("train_segmenter")
    resources:
        gpu=plan.training_gpus("train_segmenter"),
        nodes=1,
    params:
        code=fingerprint("train_segmenter"),
        network=plan.setting("segmenters/{segmenter}/network"),
        initial=plan.setting("segmenters/{segmenter}/initial"),
        training=plan.setting("segmenters/{segmenter}/training"),
        seed=plan.seed,
    script:
        "run_stage.py"


rule predict_masks:
    input:
        manifest=plan.split_manifest,
        weights="results/{dataset}/run{run}/{labeller}/{segmenter}/weights.safetensors",
    output:
        labels=directory(
            "results/{dataset}/run{run}/{labeller}/{segmenter}/{split}/{inference}/masks/{shard}"
        ),
        index="results/{dataset}/run{run}/{labeller}/{segmenter}/{split}/{inference}/masks/{shard}.jsonl",
    log:
        "results/logs/predict_masks/{dataset}/run{run}/{labeller}/{segmenter}/{split}/{inference}/{shard}.log",
    benchmark:
        "results/benchmarks/predict_masks/{dataset}/run{run}/{labeller}/{segmenter}/{split}/{inference}/{shard}.tsv"
    wildcard_constraints:
        inference=plan.pattern("inferences"),
    conda:
        "../envs/openmm.yaml"
    threads: plan.shard_threads
    resources:
        gpu=plan.gpus,
    params:
        code=fingerprint("predict_masks"),
        network=plan.setting("segmenters/{segmenter}/network"),
        settings=plan.setting("inferences/{inference}"),
        split="{split}",
        shard="{shard}",
    script:
        "run_stage.py"


rule export_predictions:
    input:
        labels=collect(
            "results/{dataset}/run{run}/{predictor}/test/{inference}/masks/{shard}",
            shard=plan.val_shards,
            allow_missing=True,
        ),
        indexes=collect(
            "results/{dataset}/run{run}/{predictor}/test/{inference}/masks/{shard}.jsonl",
            shard=plan.val_shards,
            allow_missing=True,
        ),
    output:
        submission=directory("results/{dataset}/run{run}/{predictor}/test/{inference}/submission"),
    log:
        "results/logs/export_predictions/{dataset}/run{run}/{predictor}/test/{inference}.log",
    benchmark:
        "results/benchmarks/export_predictions/{dataset}/run{run}/{predictor}/test/{inference}.tsv"
    conda:
        "../envs/torch.yaml"
    resources:
        gpu=0,
    params:
        code=fingerprint("export_predictions"),
    script:
        "run_stage.py"
