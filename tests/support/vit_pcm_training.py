"""A short training of ViT-PCM."""

from typing import Any

from tests.support.builders import APC

NETWORK: dict[str, Any] = {
    name: value for name, value in APC.items() if name not in ("blocks", "decoder")
} | {
    "lstm_dropout": 0.2,
    "classifier_dropout": 0.2,
    "lstm_initial": "keras",
}
# Three iterations: one of warm-up, two with the encoder's last block; 4 x 4 and 2 x 2 patches.
TRAINING: dict[str, Any] = {
    "epochs": 3,
    "warm_up": 1,
    "freeze": True,
    "learns": 1,
    "new_adam": True,
    "batch": 4,
    "accumulate": 1,
    "side": 32,
    "warm_up_lr": 1e-2,
    "lr": 1e-3,
    "patch_decay": 0.02,
    "colour": 0.2,
    "second": {"side": 16, "crop": 12, "probability": 0.3},
    "equivariance": 1.0,
    "precision": "full",
}
