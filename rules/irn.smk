rule make_irn_labels:
    input:
        manifest="results/{dataset}/train.jsonl",
        maps="results/{dataset}/run{run}/{classifier}/{method}/none/maps/{shard}.safetensors",
        threshold=plan.label_threshold,
    output:
        labels=directory("results/{dataset}/run{run}/{classifier}/{method}/{refiner}/labels/{shard}"),
        index="results/{dataset}/run{run}/{classifier}/{method}/{refiner}/labels/{shard}.jsonl",
    log:
        "results/logs/make_irn_labels/{dataset}/run{run}/{classifier}/{method}/{refiner}/{shard}.log",
    benchmark:
        "results/benchmarks/make_irn_labels/{dataset}/run{run}/{classifier}/{method}/{refiner}/{shard}.tsv"
    wildcard_constraints:
        refiner=plan.walking_refiners(),
    conda:
        "../envs/torch.yaml"
    threads: plan.shard_threads
    resources:
        gpu=0,
    params:
        code=fingerprint("make_irn_labels"),
        settings=plan.setting("refiners/{refiner}/labels"),
        shard="{shard}",
    script:
        "run_stage.py"


rule train_irn:
    input:
        manifest="results/{dataset}/train.jsonl",
        initial_file=plan.irn_file,
        labels=collect(
            "results/{dataset}/run{run}/{classifier}/{method}/{refiner}/labels/{shard}",
            shard=plan.shards,
            allow_missing=True,
        ),
        indexes=collect(
            "results/{dataset}/run{run}/{classifier}/{method}/{refiner}/labels/{shard}.jsonl",
            shard=plan.shards,
            allow_missing=True,
        ),
    output:
        weights="results/{dataset}/run{run}/{classifier}/{method}/{refiner}/irn/weights.safetensors",
        history="results/{dataset}/run{run}/{classifier}/{method}/{refiner}/irn/history.csv",
    log:
        "results/logs/train_irn/{dataset}/run{run}/{classifier}/{method}/{refiner}.log",
    benchmark:
        "results/benchmarks/train_irn/{dataset}/run{run}/{classifier}/{method}/{refiner}.tsv"
    wildcard_constraints:
        refiner=plan.walking_refiners(),
    conda:
        "../envs/openmm.yaml"
    threads: plan.training_threads("train_irn")
    resources:
        gpu=plan.training_gpus("train_irn"),
        nodes=1,
    params:
        code=fingerprint("train_irn"),
        network=plan.setting("refiners/{refiner}/network"),
        initial=plan.setting("refiners/{refiner}/initial"),
        training=plan.setting("refiners/{refiner}/training"),
        seed=plan.seed,
    script:
        "run_stage.py"


rule walk_cams:
    input:
        manifest="results/{dataset}/train.jsonl",
        maps="results/{dataset}/run{run}/{classifier}/{method}/none/maps/{shard}.safetensors",
        weights="results/{dataset}/run{run}/{classifier}/{method}/{refiner}/irn/weights.safetensors",
    output:
        walked="results/{dataset}/run{run}/{classifier}/{method}/{refiner}/maps/{shard}.safetensors",
    log:
        "results/logs/walk_cams/{dataset}/run{run}/{classifier}/{method}/{refiner}/{shard}.log",
    benchmark:
        "results/benchmarks/walk_cams/{dataset}/run{run}/{classifier}/{method}/{refiner}/{shard}.tsv"
    wildcard_constraints:
        refiner=plan.walking_refiners(),
    conda:
        "../envs/torch.yaml"
    threads: plan.shard_threads
    resources:
        gpu=plan.gpus,
    params:
        code=fingerprint("walk_cams"),
        network=plan.setting("refiners/{refiner}/network"),
        walk=plan.setting("refiners/{refiner}/walk"),
        shard="{shard}",
    script:
        "run_stage.py"
