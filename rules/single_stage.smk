rule train_single_stage:
    input:
        manifest="results/{dataset}/train.jsonl",
        initial_file=plan.single_stage_file,
    output:
        weights="results/{dataset}/run{run}/{single}/weights.safetensors",
        history="results/{dataset}/run{run}/{single}/history.csv",
    log:
        "results/logs/train_single_stage/{dataset}/run{run}/{single}.log",
    benchmark:
        "results/benchmarks/train_single_stage/{dataset}/run{run}/{single}.tsv"
    conda:
        "../envs/openmm.yaml"
    threads: plan.training_threads("train_single_stage")
    resources:
        gpu=plan.training_gpus("train_single_stage"),
        nodes=1,
    params:
        code=plan.single.code("train_single_stage"),
        kind=plan.setting("single_stage/{single}/kind"),
        network=plan.setting("single_stage/{single}/network"),
        initial=plan.setting("single_stage/{single}/initial"),
        training=plan.setting("single_stage/{single}/training"),
        seed=plan.seed,
    script:
        "run_stage.py"


rule extract_patch_maps:
    input:
        manifest="results/{dataset}/train.jsonl",
        weights="results/{dataset}/run{run}/{single}/weights.safetensors",
    output:
        maps="results/{dataset}/run{run}/{single}/patches/none/maps/{shard}.safetensors",
    log:
        "results/logs/extract_patch_maps/{dataset}/run{run}/{single}/{shard}.log",
    benchmark:
        "results/benchmarks/extract_patch_maps/{dataset}/run{run}/{single}/{shard}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: plan.shard_threads
    resources:
        gpu=plan.gpus,
    params:
        code=plan.single.code("extract_patch_maps"),
        kind=plan.setting("single_stage/{single}/kind"),
        network=plan.setting("single_stage/{single}/network"),
        side=plan.setting("single_stage/{single}/side"),
        shard="{shard}",
    script:
        "run_stage.py"


rule predict_single_stage_masks:
    input:
        manifest=plan.split_manifest,
        weights="results/{dataset}/run{run}/{single}/weights.safetensors",
    output:
        labels=directory("results/{dataset}/run{run}/{single}/{split}/{inference}/masks/{shard}"),
        index="results/{dataset}/run{run}/{single}/{split}/{inference}/masks/{shard}.jsonl",
    log:
        "results/logs/predict_single_stage_masks/{dataset}/run{run}/{single}/{split}/{inference}/{shard}.log",
    benchmark:
        "results/benchmarks/predict_single_stage_masks/{dataset}/run{run}/{single}/{split}/{inference}/{shard}.tsv"
    wildcard_constraints:
        inference=plan.pattern("single_stage_inferences"),
    conda:
        "../envs/torch.yaml"
    threads: plan.shard_threads
    resources:
        gpu=plan.gpus,
    params:
        code=plan.single.code("predict_single_stage_masks"),
        kind=plan.setting("single_stage/{single}/kind"),
        network=plan.setting("single_stage/{single}/network"),
        settings=plan.setting("single_stage_inferences/{inference}"),
        split="{split}",
        shard="{shard}",
    script:
        "run_stage.py"


rule evaluate_single_stage:
    input:
        manifest=plan.single.manifest,
        counts=collect(
            "results/{dataset}/run{run}/{single}/{split}/{inference}/counts/{part}.safetensors",
            split=plan.single.split,
            inference=plan.single.inferences,
            part=plan.single.parts,
            allow_missing=True,
        ),
        weights="results/{dataset}/run{run}/{single}/weights.safetensors",
    output:
        scores="results/{dataset}/run{run}/{single}/{score}_miou.json",
    log:
        "results/logs/evaluate_single_stage/{dataset}/run{run}/{single}/{score}.log",
    benchmark:
        "results/benchmarks/evaluate_single_stage/{dataset}/run{run}/{single}/{score}.tsv"
    conda:
        "../envs/torch.yaml"
    resources:
        gpu=0,
    params:
        code=fingerprint("evaluate_single_stage"),
        kind=plan.setting("single_stage/{single}/kind"),
        inferences=plan.single.inference_settings,
        main=plan.single.inference,
        split=plan.single.split,
    script:
        "run_stage.py"


rule summarise_single_stage:
    input:
        seed_scores=collect(
            "results/{dataset}/run{run}/{single}/patches/none/seed_miou.json",
            single=plan.single.main,
            run=plan.setting("datasets/{dataset}/runs"),
            allow_missing=True,
        ),
        pseudo_scores=collect(
            "results/{dataset}/run{run}/{single}/pseudo_miou.json",
            single=plan.single.main,
            run=plan.setting("datasets/{dataset}/runs"),
            allow_missing=True,
        ),
        segmentation=collect(
            "results/{dataset}/run{run}/{single}/seg_miou.json",
            single=plan.single.main,
            run=plan.setting("datasets/{dataset}/runs"),
            allow_missing=True,
        ),
    output:
        scores=report(
            "results/{dataset}/apc/seg_miou.json",
            caption="../report/single_stage_scores.rst",
            category="Scores",
            labels={"data set": "{dataset}", "system": "single stage"},
        ),
    log:
        "results/logs/summarise_single_stage/{dataset}.log",
    benchmark:
        "results/benchmarks/summarise_single_stage/{dataset}.tsv"
    conda:
        "../envs/torch.yaml"
    resources:
        gpu=0,
    params:
        code=fingerprint("summarise_single_stage"),
        runs=plan.setting("datasets/{dataset}/runs"),
    script:
        "run_stage.py"


rule tabulate_ablations:
    input:
        scores=collect(
            "results/{dataset}/run{run}/{single}/seg_miou.json",
            single=plan.single.ablation,
            run=plan.setting("datasets/{dataset}/runs"),
            allow_missing=True,
        ),
        pseudo=collect(
            "results/{dataset}/run{run}/{single}/pseudo_miou.json",
            single=plan.single.ablation,
            run=plan.setting("datasets/{dataset}/runs"),
            allow_missing=True,
        ),
    output:
        table=report(
            "results/{dataset}/apc/ablations.csv",
            caption="../report/ablations.rst",
            category="Comparison",
            labels={"data set": "{dataset}", "shows": "variants of the single stage"},
        ),
    log:
        "results/logs/tabulate_ablations/{dataset}.log",
    benchmark:
        "results/benchmarks/tabulate_ablations/{dataset}.tsv"
    conda:
        "../envs/torch.yaml"
    resources:
        gpu=0,
    params:
        code=fingerprint("tabulate_ablations"),
        variants=plan.single.ablation_settings,
        runs=plan.setting("datasets/{dataset}/runs"),
    script:
        "run_stage.py"


rule tabulate_costs:
    input:
        manifest="results/{dataset}/manifest.jsonl",
        scores=collect(
            "results/{dataset}/run{run}/{system.segmentation}/seg_miou.json",
            system=plan.single.costed,
            run=lookup(dpath="datasets/{dataset}/runs", within=config),
            allow_missing=True,
        ),
    output:
        table=report(
            "results/{dataset}/apc/cost.csv",
            caption="../report/costs.rst",
            category="Comparison",
            labels={"data set": "{dataset}", "shows": "hours of single stages"},
        ),
    log:
        "results/logs/tabulate_costs/{dataset}.log",
    benchmark:
        "results/benchmarks/tabulate_costs/{dataset}.tsv"
    conda:
        "../envs/torch.yaml"
    resources:
        gpu=0,
    params:
        code=fingerprint("tabulate_costs"),
        systems=plan.single.cost_settings,
        runs=lookup(dpath="datasets/{dataset}/runs", within=config),
        shards=plan.shards,
        val_shards=plan.val_shards,
        benchmarks="results/benchmarks",
    script:
        "run_stage.py"
