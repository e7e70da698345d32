"""Which rules of the main chain lie before and after the diffusion."""

BEFORE_DIFFUSION = {
    "generate_sample",
    "prepare_manifest",
    "select_training",
    "train_classifier",
    "extract_maps",
}


FOLLOWING = {
    "diffuse_cams",
    "count_values",
    "choose_threshold",
    "make_irn_labels",
    "train_irn",
    "walk_cams",
    "make_pseudo_labels",
    "train_segmenter",
    "predict_masks",
    "count_seeds",
    "count_pseudo",
    "count_predictions",
    "evaluate_seeds",
    "evaluate_pseudo",
    "evaluate_segmentation",
    "summarise_runs",
    "draw_examples",
}
