rule make_pseudo_labels:
    input:
        manifest="results/{dataset}/manifest.jsonl",
        maps="results/{dataset}/seed{seed}/{classifier}/{method}/{refiner}/maps/{shard}.safetensors",
    output:
        labels=directory("results/{dataset}/seed{seed}/{classifier}/{method}/{refiner}/pseudo/{shard}"),
        index="results/{dataset}/seed{seed}/{classifier}/{method}/{refiner}/pseudo/{shard}.jsonl",
    log:
        "results/logs/make_pseudo_labels/{dataset}/seed{seed}/{classifier}/{method}/{refiner}/{shard}.log",
    benchmark:
        "results/benchmarks/make_pseudo_labels/{dataset}/seed{seed}/{classifier}/{method}/{refiner}/{shard}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: plan.shard_threads
    resources:
        gpu=0,
    params:
        code=fingerprint("make_pseudo_labels"),
        settings=lookup(dpath="refiners/{refiner}/pseudo", within=config),
        shard="{shard}",
    script:
        "run_stage.py"
