"""The rules that train networks."""

# The rules that train a network: the section and the wildcard that name its variant.
TRAININGS = {
    "train_classifier": ("classifiers", "classifier"),
    "train_irn": ("refiners", "refiner"),
    "train_segmenter": ("segmenters", "segmenter"),
    "train_single_stage": ("single_stage", "single"),
}
# What they write, in the rules' words.
RUN = "results/{dataset}/run{run}"
WEIGHTS = {
    "train_classifier": f"{RUN}/{{classifier}}/weights.safetensors",
    "train_irn": f"{RUN}/{{classifier}}/{{method}}/{{refiner}}/irn/weights.safetensors",
    "train_segmenter": f"{RUN}/{{labeller}}/{{segmenter}}/weights.safetensors",
    "train_single_stage": f"{RUN}/{{single}}/weights.safetensors",
}
