"""A short training of ToCo."""

from typing import Any

from tests.support.builders import APC, STATISTICS

NETWORK: dict[str, Any] = {
    "model": APC["model"],
    "arguments": APC["arguments"],
    "auxiliary": 1,
    "scales": [1.0, 0.5],
    "decoder": {"channels": 8, "dilation": 1},
    "projection": {"hidden": 16, "bottleneck": 8, "codes": 12},
    **STATISTICS,
}
# Four iterations: rates rise over two, the decoder learns from the third on; 4 x 4, 2 x 2 and 1 x 1 patches.
TRAINING: dict[str, Any] = {
    "epochs": 4,
    "batch": 4,
    "accumulate": 1,
    "side": 32,
    "lr": 1e-3,
    "head_factor": 10.0,
    "weight_decay": 0.01,
    "power": 0.0,
    "warm_up": 0.5,
    "decoder_start": 0.5,
    "high": 0.6,
    "low": 0.4,
    "token_contrast": 0.2,
    "crop_contrast": {
        "weight": 0.5,
        "count": 3,
        "side": 8,
        "background": 0.2,
        "whole": 16,
        "least": 0.4,
        "temperature": 0.5,
        "momentum": 0.9,
    },
    "segmentation": {"weight": 0.1, "pamr": {"iterations": 2, "dilations": [1, 2]}},
    "energy": {"weight": 0.05, "cells": 8, "place": 0.22, "colour": 0.12},
    "precision": "full",
}
