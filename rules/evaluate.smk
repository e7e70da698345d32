rule count_seeds:
    input:
        manifest="results/{dataset}/train.jsonl",
        maps=collect(
            "results/{dataset}/run{run}/{classifier}/{method}/{refiner}/maps/{shard}.safetensors",
            shard=plan.counted_train,
            allow_missing=True,
        ),
    output:
        counts="results/{dataset}/run{run}/{classifier}/{method}/{refiner}/seed_counts/{part}.safetensors",
    log:
        "results/logs/count_seeds/{dataset}/run{run}/{classifier}/{method}/{refiner}/{part}.log",
    benchmark:
        "results/benchmarks/count_seeds/{dataset}/run{run}/{classifier}/{method}/{refiner}/{part}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: plan.shard_threads
    resources:
        gpu=0,
    params:
        code=fingerprint("count_seeds"),
        thresholds=plan.setting("evaluation/thresholds"),
        shards=plan.counted_train,
    script:
        "run_stage.py"


rule evaluate_seeds:
    input:
        manifest="results/{dataset}/train.jsonl",
        counts=collect(
            "results/{dataset}/run{run}/{classifier}/{method}/{refiner}/seed_counts/{part}.safetensors",
            part=plan.train_parts,
            allow_missing=True,
        ),
        weights=plan.classifier_weights,
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
        labels=collect(
            "results/{dataset}/run{run}/{classifier}/{method}/{refiner}/pseudo/{shard}",
            shard=plan.counted_train,
            allow_missing=True,
        ),
        indexes=collect(
            "results/{dataset}/run{run}/{classifier}/{method}/{refiner}/pseudo/{shard}.jsonl",
            shard=plan.counted_train,
            allow_missing=True,
        ),
    output:
        counts="results/{dataset}/run{run}/{classifier}/{method}/{refiner}/pseudo_counts/{part}.safetensors",
    log:
        "results/logs/count_pseudo/{dataset}/run{run}/{classifier}/{method}/{refiner}/{part}.log",
    benchmark:
        "results/benchmarks/count_pseudo/{dataset}/run{run}/{classifier}/{method}/{refiner}/{part}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: plan.shard_threads
    resources:
        gpu=0,
    params:
        code=fingerprint("count_pseudo"),
        shards=plan.counted_train,
    script:
        "run_stage.py"


rule evaluate_pseudo:
    input:
        manifest="results/{dataset}/train.jsonl",
        counts=collect(
            "results/{dataset}/run{run}/{classifier}/{method}/{refiner}/pseudo_counts/{part}.safetensors",
            part=plan.train_parts,
            allow_missing=True,
        ),
        weights=plan.classifier_weights,
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
        labels=collect(
            "results/{dataset}/run{run}/{predictor}/{split}/{inference}/masks/{shard}",
            shard=plan.counted,
            allow_missing=True,
        ),
        indexes=collect(
            "results/{dataset}/run{run}/{predictor}/{split}/{inference}/masks/{shard}.jsonl",
            shard=plan.counted,
            allow_missing=True,
        ),
    output:
        counts="results/{dataset}/run{run}/{predictor}/{split}/{inference}/counts/{part}.safetensors",
    log:
        "results/logs/count_predictions/{dataset}/run{run}/{predictor}/{split}/{inference}/{part}.log",
    benchmark:
        "results/benchmarks/count_predictions/{dataset}/run{run}/{predictor}/{split}/{inference}/{part}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: plan.shard_threads
    resources:
        gpu=0,
    params:
        code=fingerprint("count_predictions"),
        split="{split}",
        shards=plan.counted,
    script:
        "run_stage.py"


rule evaluate_segmentation:
    input:
        manifest="results/{dataset}/manifest.jsonl",
        counts=collect(
            "results/{dataset}/run{run}/{labeller}/{segmenter}/val/{inference}/counts/{part}.safetensors",
            inference=plan.setting("datasets/{dataset}/inferences"),
            part=plan.val_parts,
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
        main=plan.setting("datasets/{dataset}/main/inference"),
    script:
        "run_stage.py"


rule summarise_runs:
    input:
        seed_scores=collect(
            "results/{dataset}/run{run}/{main.classifier}/{main.method}/none/seed_miou.json",
            main=plan.main,
            run=plan.setting("datasets/{dataset}/runs"),
            allow_missing=True,
        ),
        refined_scores=collect(
            "results/{dataset}/run{run}/{main.classifier}/{main.method}/{main.refiner}/seed_miou.json",
            main=plan.main,
            run=plan.setting("datasets/{dataset}/runs"),
            allow_missing=True,
        ),
        pseudo_scores=collect(
            "results/{dataset}/run{run}/{main.classifier}/{main.method}/{main.refiner}/pseudo_miou.json",
            main=plan.main,
            run=plan.setting("datasets/{dataset}/runs"),
            allow_missing=True,
        ),
        segmentation=collect(
            "results/{dataset}/run{run}/{main.classifier}/{main.method}/{main.refiner}/{main.segmenter}/seg_miou.json",
            main=plan.main,
            run=plan.setting("datasets/{dataset}/runs"),
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
        runs=plan.setting("datasets/{dataset}/runs"),
    script:
        "run_stage.py"
