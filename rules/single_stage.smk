rule train_apc:
    input:
        manifest="results/{dataset}/train.jsonl",
        initial_file=plan.apc_file,
    output:
        weights="results/{dataset}/seed{seed}/{apc}/weights.safetensors",
        history="results/{dataset}/seed{seed}/{apc}/history.csv",
    log:
        "results/logs/train_apc/{dataset}/seed{seed}/{apc}.log",
    benchmark:
        "results/benchmarks/train_apc/{dataset}/seed{seed}/{apc}.tsv"
    conda:
        "../envs/openmm.yaml"
    threads: plan.training_threads("train_apc")
    resources:
        gpu=plan.training_gpus("train_apc"),
        nodes=1,
    params:
        code=fingerprint("train_apc"),
        network=lookup(dpath="apc/{apc}/network", within=config),
        initial=lookup(dpath="apc/{apc}/initial", within=config),
        training=lookup(dpath="apc/{apc}/training", within=config),
        seed=plan.seed,
    script:
        "run_stage.py"


rule extract_patch_maps:
    input:
        manifest="results/{dataset}/train.jsonl",
        weights="results/{dataset}/seed{seed}/{apc}/weights.safetensors",
    output:
        maps="results/{dataset}/seed{seed}/{apc}/patches/none/maps/{shard}.safetensors",
    log:
        "results/logs/extract_patch_maps/{dataset}/seed{seed}/{apc}/{shard}.log",
    benchmark:
        "results/benchmarks/extract_patch_maps/{dataset}/seed{seed}/{apc}/{shard}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: plan.shard_threads
    resources:
        gpu=plan.gpus,
    params:
        code=fingerprint("extract_patch_maps"),
        network=lookup(dpath="apc/{apc}/network", within=config),
        side=lookup(dpath="apc/{apc}/side", within=config),
        shard="{shard}",
    script:
        "run_stage.py"


rule predict_apc_masks:
    input:
        manifest=plan.split_manifest,
        weights="results/{dataset}/seed{seed}/{apc}/weights.safetensors",
    output:
        labels=directory("results/{dataset}/seed{seed}/{apc}/{split}/{inference}/masks/{shard}"),
        index="results/{dataset}/seed{seed}/{apc}/{split}/{inference}/masks/{shard}.jsonl",
    log:
        "results/logs/predict_apc_masks/{dataset}/seed{seed}/{apc}/{split}/{inference}/{shard}.log",
    benchmark:
        "results/benchmarks/predict_apc_masks/{dataset}/seed{seed}/{apc}/{split}/{inference}/{shard}.tsv"
    wildcard_constraints:
        inference=plan.pattern("apc_inferences"),
    conda:
        "../envs/torch.yaml"
    threads: plan.shard_threads
    resources:
        gpu=plan.gpus,
    params:
        code=fingerprint("predict_apc_masks"),
        network=lookup(dpath="apc/{apc}/network", within=config),
        settings=lookup(dpath="apc_inferences/{inference}", within=config),
        split="{split}",
        shard="{shard}",
    script:
        "run_stage.py"


rule evaluate_apc:
    input:
        manifest=plan.scored_manifest,
        counts=collect(
            "results/{dataset}/seed{seed}/{apc}/{split}/{inference}/counts/{shard}.safetensors",
            split=plan.scored_split,
            inference=plan.scored_inferences,
            shard=plan.scored_shards,
            allow_missing=True,
        ),
        weights="results/{dataset}/seed{seed}/{apc}/weights.safetensors",
    output:
        scores="results/{dataset}/seed{seed}/{apc}/{score}_miou.json",
    log:
        "results/logs/evaluate_apc/{dataset}/seed{seed}/{apc}/{score}.log",
    benchmark:
        "results/benchmarks/evaluate_apc/{dataset}/seed{seed}/{apc}/{score}.tsv"
    conda:
        "../envs/torch.yaml"
    resources:
        gpu=0,
    params:
        code=fingerprint("evaluate_apc"),
        inferences=plan.scored_settings,
        main=plan.scored_main,
        split=plan.scored_split,
    script:
        "run_stage.py"


rule summarise_apc:
    input:
        seed_scores=collect(
            "results/{dataset}/seed{seed}/{apc}/patches/none/seed_miou.json",
            apc=plan.apc_main,
            seed=lookup(dpath="datasets/{dataset}/seeds", within=config),
            allow_missing=True,
        ),
        pseudo_scores=collect(
            "results/{dataset}/seed{seed}/{apc}/pseudo_miou.json",
            apc=plan.apc_main,
            seed=lookup(dpath="datasets/{dataset}/seeds", within=config),
            allow_missing=True,
        ),
        segmentation=collect(
            "results/{dataset}/seed{seed}/{apc}/seg_miou.json",
            apc=plan.apc_main,
            seed=lookup(dpath="datasets/{dataset}/seeds", within=config),
            allow_missing=True,
        ),
    output:
        scores=report(
            "results/{dataset}/apc/seg_miou.json",
            caption="../report/apc_scores.rst",
            category="Scores",
            labels={"data set": "{dataset}", "system": "single stage"},
        ),
    log:
        "results/logs/summarise_apc/{dataset}.log",
    benchmark:
        "results/benchmarks/summarise_apc/{dataset}.tsv"
    conda:
        "../envs/torch.yaml"
    resources:
        gpu=0,
    params:
        code=fingerprint("summarise_apc"),
        seeds=lookup(dpath="datasets/{dataset}/seeds", within=config),
    script:
        "run_stage.py"


rule tabulate_ablations:
    input:
        scores=collect(
            "results/{dataset}/seed{seed}/{apc}/seg_miou.json",
            apc=plan.ablation,
            seed=lookup(dpath="datasets/{dataset}/seeds", within=config),
            allow_missing=True,
        ),
        pseudo=collect(
            "results/{dataset}/seed{seed}/{apc}/pseudo_miou.json",
            apc=plan.ablation,
            seed=lookup(dpath="datasets/{dataset}/seeds", within=config),
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
        variants=plan.ablation_training,
        runs=lookup(dpath="datasets/{dataset}/seeds", within=config),
    script:
        "run_stage.py"
