rule compare:
    input:
        manifest="results/{dataset}/manifest.jsonl",
        seeds=collect(
            "results/{dataset}/seed{seed}/{system.maps}/seed_miou.json",
            system=plan.systems,
            seed=lookup(dpath="datasets/{dataset}/seeds", within=config),
            allow_missing=True,
        ),
        pseudo=collect(
            "results/{dataset}/seed{seed}/{system.scored}/pseudo_miou.json",
            system=plan.systems,
            seed=lookup(dpath="datasets/{dataset}/seeds", within=config),
            allow_missing=True,
        ),
        segmentation=collect(
            "results/{dataset}/seed{seed}/{system.segmentation}/seg_miou.json",
            system=plan.segmenting_systems,
            seed=lookup(dpath="datasets/{dataset}/seeds", within=config),
            allow_missing=True,
        ),
        weights=collect(
            "results/{dataset}/seed{seed}/{network}/weights.safetensors",
            network=plan.compared_networks,
            seed=lookup(dpath="datasets/{dataset}/seeds", within=config),
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
        runs=lookup(dpath="datasets/{dataset}/seeds", within=config),
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
            "results/{dataset}/seed{seed}/{system.maps}/seed_curve.csv",
            system=plan.systems,
            seed=lookup(dpath="datasets/{dataset}/seeds", within=config),
            allow_missing=True,
        ),
        curve_scores=collect(
            "results/{dataset}/seed{seed}/{system.maps}/seed_miou.json",
            system=plan.systems,
            seed=lookup(dpath="datasets/{dataset}/seeds", within=config),
            allow_missing=True,
        ),
        sensitivity=collect(
            "results/{dataset}/seed{seed}/{main.classifier}/{method}/none/seed_miou.json",
            main=plan.main,
            method=lookup(dpath="datasets/{dataset}/compare/sensitivity", within=config),
            seed=lookup(dpath="datasets/{dataset}/seeds", within=config),
            allow_missing=True,
        ),
        maps=collect(
            "results/{dataset}/seed{seed}/{system.maps}/maps/{shard}.safetensors",
            system=plan.systems,
            seed=lookup(dpath="datasets/{dataset}/seeds/0", within=config),
            shard=plan.shards,
            allow_missing=True,
        ),
        labels=collect(
            "results/{dataset}/seed{seed}/{system.labels}/{shard}",
            system=plan.systems,
            seed=lookup(dpath="datasets/{dataset}/seeds/0", within=config),
            shard=plan.shards,
            allow_missing=True,
        ),
        label_indexes=collect(
            "results/{dataset}/seed{seed}/{system.labels}/{shard}.jsonl",
            system=plan.systems,
            seed=lookup(dpath="datasets/{dataset}/seeds/0", within=config),
            shard=plan.shards,
            allow_missing=True,
        ),
        predictions=collect(
            "results/{dataset}/seed{seed}/{system.predictions}/{shard}",
            system=plan.segmenting_systems,
            seed=lookup(dpath="datasets/{dataset}/seeds/0", within=config),
            shard=plan.val_shards,
            allow_missing=True,
        ),
        prediction_indexes=collect(
            "results/{dataset}/seed{seed}/{system.predictions}/{shard}.jsonl",
            system=plan.segmenting_systems,
            seed=lookup(dpath="datasets/{dataset}/seeds/0", within=config),
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
        runs=lookup(dpath="datasets/{dataset}/seeds", within=config),
        kind=lookup(dpath="datasets/{dataset}/kind", within=config),
        images=lookup(dpath="datasets/{dataset}/compare/images", within=config),
    script:
        "run_stage.py"
