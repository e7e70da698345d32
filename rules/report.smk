rule draw_examples:
    input:
        manifest="results/{dataset}/manifest.jsonl",
        cams=collect(
            "results/{dataset}/run{run}/{main.classifier}/cam/none/maps/{shard}.safetensors",
            main=plan.main,
            run=plan.setting("datasets/{dataset}/runs/0"),
            shard=plan.shards,
            allow_missing=True,
        ),
        maps=collect(
            "results/{dataset}/run{run}/{main.classifier}/{main.method}/none/maps/{shard}.safetensors",
            main=plan.main,
            run=plan.setting("datasets/{dataset}/runs/0"),
            shard=plan.shards,
            allow_missing=True,
        ),
        walked=collect(
            "results/{dataset}/run{run}/{main.classifier}/{main.method}/{main.refiner}/maps/{shard}.safetensors",
            main=plan.main_walking,
            run=plan.setting("datasets/{dataset}/runs/0"),
            shard=plan.shards,
            allow_missing=True,
        ),
        pseudo=collect(
            "results/{dataset}/run{run}/{main.classifier}/{main.method}/{main.refiner}/pseudo/{shard}",
            main=plan.main,
            run=plan.setting("datasets/{dataset}/runs/0"),
            shard=plan.shards,
            allow_missing=True,
        ),
        indexes=collect(
            "results/{dataset}/run{run}/{main.classifier}/{main.method}/{main.refiner}/pseudo/{shard}.jsonl",
            main=plan.main,
            run=plan.setting("datasets/{dataset}/runs/0"),
            shard=plan.shards,
            allow_missing=True,
        ),
        weights=plan.main_weights,
    output:
        figure=report(
            "results/{dataset}/examples.png",
            caption="../report/examples.rst",
            category="Pictures",
            labels={"data set": "{dataset}", "shows": "examples of the main chain"},
        ),
    log:
        "results/logs/draw_examples/{dataset}.log",
    benchmark:
        "results/benchmarks/draw_examples/{dataset}.tsv"
    conda:
        "../envs/openmm.yaml"
    resources:
        gpu=0,
    params:
        code=fingerprint("draw_examples"),
        network=plan.setting("segmenters/{main.segmenter}/network", main=plan.chain),
        settings=plan.setting("inferences/{main.inference}", main=plan.chain),
        method=plan.setting("datasets/{dataset}/main/method"),
        examples=plan.setting("datasets/{dataset}/examples"),
    script:
        "run_stage.py"


rule draw_curves:
    input:
        curve="results/{dataset}/run{run}/{classifier}/{method}/{refiner}/seed_curve.csv",
        scores="results/{dataset}/run{run}/{classifier}/{method}/{refiner}/seed_miou.json",
    output:
        figure=report(
            "results/{dataset}/run{run}/{classifier}/{method}/{refiner}/seed_curve.svg",
            caption="../report/seed_curve.rst",
            category="Class maps",
            labels={
                "data set": "{dataset}",
                "run": "{run}",
                "classifier": "{classifier}",
                "method": "{method}",
                "refiner": "{refiner}",
            },
        ),
    log:
        "results/logs/draw_curves/{dataset}/run{run}/{classifier}/{method}/{refiner}.log",
    benchmark:
        "results/benchmarks/draw_curves/{dataset}/run{run}/{classifier}/{method}/{refiner}.tsv"
    conda:
        "../envs/torch.yaml"
    resources:
        gpu=0,
    params:
        code=fingerprint("draw_curves"),
    script:
        "run_stage.py"
