rule generate_sample:
    output:
        source=directory("results/{dataset}/source"),
    log:
        "results/logs/generate_sample/{dataset}.log",
    benchmark:
        "results/benchmarks/generate_sample/{dataset}.tsv"
    wildcard_constraints:
        dataset=plan.datasets("sample"),
    conda:
        "../envs/torch.yaml"
    resources:
        gpu=0,
    params:
        code=fingerprint("generate_sample"),
        settings=plan.source_settings,
    script:
        "run_stage.py"


rule render_masks:
    output:
        source=directory("results/{dataset}/source"),
    log:
        "results/logs/render_masks/{dataset}.log",
    benchmark:
        "results/benchmarks/render_masks/{dataset}.tsv"
    wildcard_constraints:
        dataset=plan.datasets("coco"),
    conda:
        "../envs/torch.yaml"
    threads: plan.shard_threads
    resources:
        gpu=0,
    params:
        code=fingerprint("render_masks"),
        settings=plan.source_settings,
    script:
        "run_stage.py"


rule convert_pictures:
    input:
        tables=plan.tables,
    output:
        source=directory("results/{dataset}/source"),
    log:
        "results/logs/convert_pictures/{dataset}.log",
    benchmark:
        "results/benchmarks/convert_pictures/{dataset}.tsv"
    wildcard_constraints:
        dataset=plan.converted(),
    conda:
        "../envs/torch.yaml"
    threads: plan.shard_threads
    resources:
        gpu=0,
    params:
        code=fingerprint("convert_pictures"),
        settings=plan.data_settings,
    script:
        "run_stage.py"


rule prepare_manifest:
    input:
        source=plan.source,
        tables=plan.tables,
    output:
        manifest="results/{dataset}/manifest.jsonl",
    log:
        "results/logs/prepare_manifest/{dataset}.log",
    benchmark:
        "results/benchmarks/prepare_manifest/{dataset}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: plan.shard_threads
    resources:
        gpu=0,
    params:
        code=fingerprint("prepare_manifest"),
        dataset="{dataset}",
        settings=plan.data_settings,
        views=plan.largest_views,
    script:
        "run_stage.py"


rule select_training:
    input:
        manifest=plan.listed(ancient),
    output:
        training="results/{dataset}/train.jsonl",
    log:
        "results/logs/select_training/{dataset}.log",
    benchmark:
        "results/benchmarks/select_training/{dataset}.tsv"
    conda:
        "../envs/torch.yaml"
    resources:
        gpu=0,
    params:
        code=fingerprint("select_training"),
    script:
        "run_stage.py"
