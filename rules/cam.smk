# What a data set keeps decides which of the two makes the same maps.
ruleorder: make_maps > diffuse_cams


rule diffuse_cams:
    input:
        manifest="results/{dataset}/train.jsonl",
        cams="results/{dataset}/run{run}/{classifier}/cams/{shard}.safetensors",
        attention="results/{dataset}/run{run}/{classifier}/attention/{shard}.safetensors",
    output:
        maps="results/{dataset}/run{run}/{classifier}/{method}/none/maps/{shard}.safetensors",
    log:
        "results/logs/diffuse_cams/{dataset}/run{run}/{classifier}/{method}/{shard}.log",
    benchmark:
        "results/benchmarks/diffuse_cams/{dataset}/run{run}/{classifier}/{method}/{shard}.tsv"
    wildcard_constraints:
        classifier=plan.pattern("classifiers"),
        method=plan.map_methods(),
    conda:
        "../envs/torch.yaml"
    threads: plan.shard_threads
    resources:
        gpu=plan.gpus,
    params:
        code=fingerprint("diffuse_cams"),
        settings=plan.setting("methods/{method}"),
        shard="{shard}",
    script:
        "run_stage.py"


rule make_maps:
    input:
        manifest="results/{dataset}/train.jsonl",
        weights=plan.classifiers.weights,
    output:
        maps="results/{dataset}/run{run}/{classifier}/{method}/none/maps/{shard}.safetensors",
    log:
        "results/logs/make_maps/{dataset}/run{run}/{classifier}/{method}/{shard}.log",
    benchmark:
        "results/benchmarks/make_maps/{dataset}/run{run}/{classifier}/{method}/{shard}.tsv"
    wildcard_constraints:
        dataset=plan.keeping("maps"),
        classifier=plan.classifiers.extracting(),
        method=plan.map_methods(),
    conda:
        "../envs/torch.yaml"
    threads: plan.shard_threads
    resources:
        gpu=plan.gpus,
    params:
        code=fingerprint("make_maps"),
        network=plan.setting("classifiers/{classifier}/network"),
        views=plan.setting("classifiers/{classifier}/views"),
        settings=plan.setting("methods/{method}"),
        shard="{shard}",
    script:
        "run_stage.py"
