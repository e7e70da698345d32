rule count_seeds:
    input:
        manifest="results/{dataset}/train.jsonl",
        maps="results/{dataset}/run{run}/{classifier}/{method}/{refiner}/maps/{shard}.safetensors",
    output:
        counts="results/{dataset}/run{run}/{classifier}/{method}/{refiner}/seed_counts/{shard}.safetensors",
    log:
        "results/logs/count_seeds/{dataset}/run{run}/{classifier}/{method}/{refiner}/{shard}.log",
    benchmark:
        "results/benchmarks/count_seeds/{dataset}/run{run}/{classifier}/{method}/{refiner}/{shard}.tsv"
    conda:
        "../envs/torch.yaml"
    resources:
        gpu=0,
    params:
        code=fingerprint("count_seeds"),
        thresholds=lookup(dpath="evaluation/thresholds", within=config),
        shard="{shard}",
    script:
        "run_stage.py"


rule evaluate_seeds:
    input:
        manifest="results/{dataset}/train.jsonl",
        counts=collect(
            "results/{dataset}/run{run}/{classifier}/{method}/{refiner}/seed_counts/{shard}.safetensors",
            shard=plan.scored_train_shards,
            allow_missing=True,
        ),
        weights=plan.classifiers.weights,
        irn_weights=plan.irn_weights,
    output:
        scores="results/{dataset}/run{run}/{classifier}/{method}/{refiner}/seed_miou.json",
        curve="results/{dataset}/run{run}/{classifier}/{method}/{refiner}/seed_curve.csv",
    log:
        "results/logs/evaluate_seeds/{dataset}/run{run}/{classifier}/{method}/{refiner}.log",
    benchmark:
        "results/benchmarks/evaluate_seeds/{dataset}/run{run}/{classifier}/{method}/{refiner}.tsv"
    conda:
        "../envs/torch.yaml"
    resources:
        gpu=0,
    params:
        code=fingerprint("evaluate_seeds"),
        configured_threshold=plan.configured_threshold,
        settings=plan.map_settings,
    script:
        "run_stage.py"


rule count_pseudo:
    input:
        manifest="results/{dataset}/train.jsonl",
        labels="results/{dataset}/run{run}/{classifier}/{method}/{refiner}/pseudo/{shard}",
        index="results/{dataset}/run{run}/{classifier}/{method}/{refiner}/pseudo/{shard}.jsonl",
    output:
        counts="results/{dataset}/run{run}/{classifier}/{method}/{refiner}/pseudo_counts/{shard}.safetensors",
    log:
        "results/logs/count_pseudo/{dataset}/run{run}/{classifier}/{method}/{refiner}/{shard}.log",
    benchmark:
        "results/benchmarks/count_pseudo/{dataset}/run{run}/{classifier}/{method}/{refiner}/{shard}.tsv"
    conda:
        "../envs/torch.yaml"
    resources:
        gpu=0,
    params:
        code=fingerprint("count_pseudo"),
        shard="{shard}",
    script:
        "run_stage.py"


rule evaluate_pseudo:
    input:
        manifest="results/{dataset}/train.jsonl",
        counts=collect(
            "results/{dataset}/run{run}/{classifier}/{method}/{refiner}/pseudo_counts/{shard}.safetensors",
            shard=plan.scored_train_shards,
            allow_missing=True,
        ),
        weights=plan.classifiers.weights,
        irn_weights=plan.irn_weights,
    output:
        scores="results/{dataset}/run{run}/{classifier}/{method}/{refiner}/pseudo_miou.json",
    log:
        "results/logs/evaluate_pseudo/{dataset}/run{run}/{classifier}/{method}/{refiner}.log",
    benchmark:
        "results/benchmarks/evaluate_pseudo/{dataset}/run{run}/{classifier}/{method}/{refiner}.tsv"
    conda:
        "../envs/torch.yaml"
    resources:
        gpu=0,
    params:
        code=fingerprint("evaluate_pseudo"),
        settings=plan.pseudo_settings,
    script:
        "run_stage.py"


rule count_predictions:
    input:
        manifest=plan.split_manifest,
        labels="results/{dataset}/run{run}/{predictor}/{split}/{inference}/masks/{shard}",
        index="results/{dataset}/run{run}/{predictor}/{split}/{inference}/masks/{shard}.jsonl",
    output:
        counts="results/{dataset}/run{run}/{predictor}/{split}/{inference}/counts/{shard}.safetensors",
    log:
        "results/logs/count_predictions/{dataset}/run{run}/{predictor}/{split}/{inference}/{shard}.log",
    benchmark:
        "results/benchmarks/count_predictions/{dataset}/run{run}/{predictor}/{split}/{inference}/{shard}.tsv"
    conda:
        "../envs/torch.yaml"
    resources:
        gpu=0,
    params:
        code=fingerprint("count_predictions"),
        split="{split}",
        shard="{shard}",
    script:
        "run_stage.py"


rule evaluate_segmentation:
    input:
        manifest="results/{dataset}/manifest.jsonl",
        counts=collect(
            "results/{dataset}/run{run}/{labeller}/{segmenter}/val/{inference}/counts/{shard}.safetensors",
            inference=lookup(dpath="datasets/{dataset}/inferences", within=config),
            shard=plan.scored_val_shards,
            allow_missing=True,
        ),
        weights=plan.labeller_weights,
        irn_weights=plan.labeller_irn_weights,
        segmenter_weights="results/{dataset}/run{run}/{labeller}/{segmenter}/weights.safetensors",
    output:
        scores="results/{dataset}/run{run}/{labeller}/{segmenter}/seg_miou.json",
    log:
        "results/logs/evaluate_segmentation/{dataset}/run{run}/{labeller}/{segmenter}.log",
    benchmark:
        "results/benchmarks/evaluate_segmentation/{dataset}/run{run}/{labeller}/{segmenter}.tsv"
    conda:
        "../envs/torch.yaml"
    resources:
        gpu=0,
    params:
        code=fingerprint("evaluate_segmentation"),
        inferences=plan.inference_settings,
        main=lookup(dpath="datasets/{dataset}/main/inference", within=config),
    script:
        "run_stage.py"


rule summarise_runs:
    input:
        seed_scores=collect(
            "results/{dataset}/run{run}/{main.classifier}/{main.method}/none/seed_miou.json",
            main=plan.main,
            run=lookup(dpath="datasets/{dataset}/runs", within=config),
            allow_missing=True,
        ),
        refined_scores=collect(
            "results/{dataset}/run{run}/{main.classifier}/{main.method}/{main.refiner}/seed_miou.json",
            main=plan.main,
            run=lookup(dpath="datasets/{dataset}/runs", within=config),
            allow_missing=True,
        ),
        pseudo_scores=collect(
            "results/{dataset}/run{run}/{main.classifier}/{main.method}/{main.refiner}/pseudo_miou.json",
            main=plan.main,
            run=lookup(dpath="datasets/{dataset}/runs", within=config),
            allow_missing=True,
        ),
        segmentation=collect(
            "results/{dataset}/run{run}/{main.classifier}/{main.method}/{main.refiner}/{main.segmenter}/seg_miou.json",
            main=plan.main,
            run=lookup(dpath="datasets/{dataset}/runs", within=config),
            allow_missing=True,
        ),
    output:
        scores=report(
            "results/{dataset}/seg_miou.json",
            caption="../report/chain_scores.rst",
            category="Scores",
            labels={"data set": "{dataset}", "system": "main chain"},
        ),
    log:
        "results/logs/summarise_runs/{dataset}.log",
    benchmark:
        "results/benchmarks/summarise_runs/{dataset}.tsv"
    conda:
        "../envs/torch.yaml"
    resources:
        gpu=0,
    params:
        code=fingerprint("summarise_runs"),
        runs=lookup(dpath="datasets/{dataset}/runs", within=config),
    script:
        "run_stage.py"
