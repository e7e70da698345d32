"""The rules that train networks."""

# The rules that train a network: the section and the wildcard that name its variant.
TRAININGS = {
    "train_classifier": ("classifiers", "classifier"),
    "train_irn": ("refiners", "refiner"),
    "train_segmenter": ("segmenters", "segmenter"),
    "train_apc": ("apc", "apc"),
}
# What they write, in the rules' words.
RUN = "results/{dataset}/seed{seed}"
WEIGHTS = {
    "train_classifier": f"{RUN}/{{classifier}}/weights.safetensors",
    "train_irn": f"{RUN}/{{classifier}}/{{method}}/{{refiner}}/irn/weights.safetensors",
    "train_segmenter": f"{RUN}/{{labeller}}/{{segmenter}}/weights.safetensors",
    "train_apc": f"{RUN}/{{apc}}/weights.safetensors",
}
