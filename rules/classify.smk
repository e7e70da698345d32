rule pretrain_network:
    output:
        weights="results/pretrain/{network}.safetensors",
        history="results/pretrain/{network}.csv",
    log:
        "results/logs/pretrain_network/{network}.log",
    benchmark:
        "results/benchmarks/pretrain_network/{network}.tsv"
    conda:
        "../envs/openmm.yaml"
    threads: 1
    resources:
        gpu=0,
    params:
        code=fingerprint("pretrain_network"),
        settings=plan.setting("pretraining/{network}"),
    script:
        "run_stage.py"


rule train_classifier:
    input:
        manifest="results/{dataset}/train.jsonl",
        initial_file=plan.classifier_file,
        initial_weights=plan.classifiers.before,
    output:
        weights="results/{dataset}/run{run}/{classifier}/weights.safetensors",
        history="results/{dataset}/run{run}/{classifier}/history.csv",
    log:
        "results/logs/train_classifier/{dataset}/run{run}/{classifier}.log",
    benchmark:
        "results/benchmarks/train_classifier/{dataset}/run{run}/{classifier}.tsv"
    wildcard_constraints:
        classifier=plan.classifiers.trained(),
    conda:
        "../envs/openmm.yaml"
    threads: plan.training_threads("train_classifier")
    resources:
        gpu=plan.training_gpus("train_classifier"),
        nodes=1,
    params:
        code=plan.classifiers.training_code,
        network=plan.setting("classifiers/{classifier}/network"),
        initial=plan.setting("classifiers/{classifier}/initial"),
        training=plan.setting("classifiers/{classifier}/training"),
        seed=plan.seed,
    script:
        "run_stage.py"


rule extract_maps:
    input:
        manifest="results/{dataset}/train.jsonl",
        weights=plan.classifiers.weights,
    output:
        cams="results/{dataset}/run{run}/{classifier}/cams/{shard}.safetensors",
        attention="results/{dataset}/run{run}/{classifier}/attention/{shard}.safetensors",
    log:
        "results/logs/extract_maps/{dataset}/run{run}/{classifier}/{shard}.log",
    benchmark:
        "results/benchmarks/extract_maps/{dataset}/run{run}/{classifier}/{shard}.tsv"
    wildcard_constraints:
        classifier=plan.classifiers.extracting(),
    conda:
        "../envs/torch.yaml"
    threads: plan.shard_threads
    resources:
        gpu=plan.gpus,
    params:
        code=fingerprint("extract_maps"),
        network=plan.setting("classifiers/{classifier}/network"),
        views=plan.setting("classifiers/{classifier}/views"),
        shard="{shard}",
    script:
        "run_stage.py"


rule derive_maps:
    input:
        manifest="results/{dataset}/train.jsonl",
        weights=plan.classifiers.weights,
    output:
        cams="results/{dataset}/run{run}/{classifier}/cams/{shard}.safetensors",
        attention="results/{dataset}/run{run}/{classifier}/attention/{shard}.safetensors",
    log:
        "results/logs/derive_maps/{dataset}/run{run}/{classifier}/{shard}.log",
    benchmark:
        "results/benchmarks/derive_maps/{dataset}/run{run}/{classifier}/{shard}.tsv"
    wildcard_constraints:
        classifier=plan.classifiers.deriving(),
    conda:
        "../envs/torch.yaml"
    threads: plan.shard_threads
    resources:
        gpu=plan.gpus,
    params:
        code=plan.classifiers.maps_code,
        network=plan.setting("classifiers/{classifier}/network"),
        views=plan.setting("classifiers/{classifier}/views"),
        maps=plan.setting("classifiers/{classifier}/maps"),
        shard="{shard}",
    script:
        "run_stage.py"
