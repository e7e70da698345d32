rule compare:
    input:
        manifest="results/{dataset}/manifest.jsonl",
        seeds=collect(
            "results/{dataset}/run{run}/{system.maps}/seed_miou.json",
            system=plan.labelling_systems,
            run=lookup(dpath="datasets/{dataset}/runs", within=config),
            allow_missing=True,
        ),
        pseudo=collect(
            "results/{dataset}/run{run}/{system.scored}/pseudo_miou.json",
            system=plan.labelling_systems,
            run=lookup(dpath="datasets/{dataset}/runs", within=config),
            allow_missing=True,
        ),
        segmentation=collect(
            "results/{dataset}/run{run}/{system.segmentation}/seg_miou.json",
            system=plan.segmenting_systems,
            run=lookup(dpath="datasets/{dataset}/runs", within=config),
            allow_missing=True,
        ),
        weights=collect(
            "results/{dataset}/run{run}/{network}/weights.safetensors",
            network=plan.compared_networks,
            run=lookup(dpath="datasets/{dataset}/runs", within=config),
            allow_missing=True,
        ),
    output:
        table=report(
            "results/{dataset}/compare.csv",
            caption="../report/comparison.rst",
            category="Comparison",
            labels={"data set": "{dataset}", "shows": "all systems, table"},
        ),
    log:
        "results/logs/compare/{dataset}.log",
    benchmark:
        "results/benchmarks/compare/{dataset}.tsv"
    conda:
        "../envs/torch.yaml"
    resources:
        gpu=0,
    params:
        code=fingerprint("compare"),
        systems=plan.system_settings,
        runs=lookup(dpath="datasets/{dataset}/runs", within=config),
        shards=plan.shards,
        val_shards=plan.val_shards,
        kind=lookup(dpath="datasets/{dataset}/kind", within=config),
        benchmarks="results/benchmarks",
    script:
        "run_stage.py"


rule draw_comparison:
    input:
        manifest="results/{dataset}/manifest.jsonl",
        table="results/{dataset}/compare.csv",
        curves=collect(
            "results/{dataset}/run{run}/{system.maps}/seed_curve.csv",
            system=plan.labelling_systems,
            run=lookup(dpath="datasets/{dataset}/runs", within=config),
            allow_missing=True,
        ),
        curve_scores=collect(
            "results/{dataset}/run{run}/{system.maps}/seed_miou.json",
            system=plan.labelling_systems,
            run=lookup(dpath="datasets/{dataset}/runs", within=config),
            allow_missing=True,
        ),
        sensitivity=collect(
            "results/{dataset}/run{run}/{main.classifier}/{method}/none/seed_miou.json",
            main=plan.main,
            method=lookup(dpath="datasets/{dataset}/compare/sensitivity", within=config),
            run=lookup(dpath="datasets/{dataset}/runs", within=config),
            allow_missing=True,
        ),
        maps=collect(
            "results/{dataset}/run{run}/{system.maps}/maps/{shard}.safetensors",
            system=plan.labelling_systems,
            run=lookup(dpath="datasets/{dataset}/runs/0", within=config),
            shard=plan.shards,
            allow_missing=True,
        ),
        labels=collect(
            "results/{dataset}/run{run}/{system.labels}/{shard}",
            system=plan.labelling_systems,
            run=lookup(dpath="datasets/{dataset}/runs/0", within=config),
            shard=plan.shards,
            allow_missing=True,
        ),
        label_indexes=collect(
            "results/{dataset}/run{run}/{system.labels}/{shard}.jsonl",
            system=plan.labelling_systems,
            run=lookup(dpath="datasets/{dataset}/runs/0", within=config),
            shard=plan.shards,
            allow_missing=True,
        ),
        predictions=collect(
            "results/{dataset}/run{run}/{system.predictions}/{shard}",
            system=plan.segmenting_systems,
            run=lookup(dpath="datasets/{dataset}/runs/0", within=config),
            shard=plan.val_shards,
            allow_missing=True,
        ),
        prediction_indexes=collect(
            "results/{dataset}/run{run}/{system.predictions}/{shard}.jsonl",
            system=plan.segmenting_systems,
            run=lookup(dpath="datasets/{dataset}/runs/0", within=config),
            shard=plan.val_shards,
            allow_missing=True,
        ),
    output:
        page=report(
            "results/{dataset}/compare.html",
            caption="../report/comparison_page.rst",
            category="Comparison",
            labels={"data set": "{dataset}", "shows": "all systems, page"},
        ),
    log:
        "results/logs/draw_comparison/{dataset}.log",
    benchmark:
        "results/benchmarks/draw_comparison/{dataset}.tsv"
    conda:
        "../envs/torch.yaml"
    resources:
        gpu=0,
    params:
        code=fingerprint("draw_comparison"),
        systems=plan.system_settings,
        runs=lookup(dpath="datasets/{dataset}/runs", within=config),
        kind=lookup(dpath="datasets/{dataset}/kind", within=config),
        images=lookup(dpath="datasets/{dataset}/compare/images", within=config),
    script:
        "run_stage.py"
