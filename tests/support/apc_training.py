"""A short training of the single stage."""

from typing import Any

# Five iterations: two of warm-up, three with all parameters; a checkpoint after each.
TRAINING: dict[str, Any] = {
    "epochs": 5,
    "warm_up": 2,
    "freeze": True,
    "decoder_start": 2,
    "batch": 2,
    "accumulate": 2,
    "side": 32,
    "warm_up_lr": 1e-2,
    "lr": 1e-3,
    "patch_decay": 0.01,
    "alpha": 0.2,
    "beta": 0.1,
    "pooling": {"kind": "adaptive_k", "k": 3, "ratio": 0.9, "criterion": "ratio"},
    "contrast": {"high": 0.25, "low": 0.25, "lowest": False},
    "segmentation": {"balanced": True, "pamr": None},
    "precision": "full",
}
