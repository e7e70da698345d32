rule count_values:
    input:
        manifest="results/{dataset}/train.jsonl",
        maps="results/{dataset}/run{run}/{classifier}/{method}/{refiner}/maps/{shard}.safetensors",
    output:
        counts="results/{dataset}/run{run}/{classifier}/{method}/{refiner}/value_counts/{shard}.safetensors",
    log:
        "results/logs/count_values/{dataset}/run{run}/{classifier}/{method}/{refiner}/{shard}.log",
    benchmark:
        "results/benchmarks/count_values/{dataset}/run{run}/{classifier}/{method}/{refiner}/{shard}.tsv"
    conda:
        "../envs/torch.yaml"
    resources:
        gpu=0,
    params:
        code=fingerprint("count_values"),
        shard="{shard}",
    script:
        "run_stage.py"


rule choose_threshold:
    input:
        counts=collect(
            "results/{dataset}/run{run}/{classifier}/{method}/{refiner}/value_counts/{shard}.safetensors",
            shard=plan.shards,
            allow_missing=True,
        ),
    output:
        chosen="results/{dataset}/run{run}/{classifier}/{method}/{refiner}/thresholds/{threshold}.json",
    log:
        "results/logs/choose_threshold/{dataset}/run{run}/{classifier}/{method}/{refiner}/{threshold}.log",
    benchmark:
        "results/benchmarks/choose_threshold/{dataset}/run{run}/{classifier}/{method}/{refiner}/{threshold}.tsv"
    conda:
        "../envs/torch.yaml"
    resources:
        gpu=0,
    params:
        code=fingerprint("choose_threshold"),
        rule="{threshold}",
        thresholds=plan.setting("evaluation/thresholds"),
    script:
        "run_stage.py"


rule make_pseudo_labels:
    input:
        manifest="results/{dataset}/train.jsonl",
        maps="results/{dataset}/run{run}/{classifier}/{method}/{refiner}/maps/{shard}.safetensors",
        threshold=plan.pseudo_threshold,
    output:
        labels=directory("results/{dataset}/run{run}/{classifier}/{method}/{refiner}/pseudo/{shard}"),
        index="results/{dataset}/run{run}/{classifier}/{method}/{refiner}/pseudo/{shard}.jsonl",
    log:
        "results/logs/make_pseudo_labels/{dataset}/run{run}/{classifier}/{method}/{refiner}/{shard}.log",
    benchmark:
        "results/benchmarks/make_pseudo_labels/{dataset}/run{run}/{classifier}/{method}/{refiner}/{shard}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: plan.shard_threads
    resources:
        gpu=0,
    params:
        code=fingerprint("make_pseudo_labels"),
        settings=plan.pseudo_settings,
        shard="{shard}",
    script:
        "run_stage.py"
