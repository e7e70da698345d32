"""Deterministic, framework-independent parameter fill used for every network golden in this folder.

Original helper code, numpy only (torch is touched through duck typing, nothing is imported from it).

    value(name, shape, salt="")  -> float32 numpy array, or None when the entry must be left alone
    fill(model_or_state_dict, salt="", rename=None)  -> list of (name, shape) that were filled

The random stream is numpy's frozen legacy generator:
    n = RandomState(crc32((salt + name).encode()) & 0xffffffff).standard_normal(shape)      (float64)
and then, first rule that matches wins:
    name ends with "num_batches_tracked", or contains "path_indices" / "disp_target",
        or ends with ".kernel", or the tensor is not floating point     -> untouched
    name ends with "running_var"                                        -> 1 + 0.1*|n|
    name ends with "running_mean"                                       -> 0.1*n
    name ends with "bias"                                               -> 0.1*n
    name ends with "weight" and ndim == 1   (Batch/Layer/GroupNorm)     -> 1 + 0.1*n
    name ends with "qkv.weight"             (attention projections)     -> 3*n / sqrt(prod(shape[1:]))
        (gain 3 makes the softmax clearly non-uniform)
    name ends with "weight" and ndim >= 2   (conv, linear)              -> n / sqrt(prod(shape[1:]))
    anything else (class token, ...)                                    -> 0.5*n
The result is ALWAYS rounded to float32 first; a float64 network receives the float32 value widened.

A module reachable under several names (IRNet: "resnet50.conv1.weight", "stage1.0.weight",
"backbone.0.0.weight" are one tensor) is filled ONCE, under the name that comes first in state_dict() order.
"""

import zlib

import numpy as np


def value(name, shape, salt=""):
    shape = tuple(int(s) for s in shape)
    if name.endswith(("num_batches_tracked", ".kernel")):
        return None
    if "path_indices" in name or "disp_target" in name:
        return None
    rs = np.random.RandomState(zlib.crc32((salt + name).encode()) & 0xFFFFFFFF)
    n = rs.standard_normal(shape)
    if name.endswith("running_var"):
        v = 1.0 + 0.1 * np.abs(n)
    elif name.endswith(("running_mean", "bias")):
        v = 0.1 * n
    elif name.endswith("weight") and len(shape) == 1:
        v = 1.0 + 0.1 * n
    elif name.endswith("qkv.weight"):
        v = 3.0 * n / np.sqrt(float(np.prod(shape[1:])))
    elif name.endswith("weight"):
        v = n / np.sqrt(float(np.prod(shape[1:])))
    else:
        v = 0.5 * n
    return np.asarray(v, dtype=np.float32)


def fill(model_or_state_dict, salt="", rename=None):
    """Overwrite every tensor in place.  rename: optional callable own_name -> official name (None = skip)."""
    sd = model_or_state_dict
    if hasattr(sd, "state_dict"):
        sd = sd.state_dict()
    done, seen = [], set()
    for own, t in sd.items():
        name = own if rename is None else rename(own)
        if name is None or not t.is_floating_point():
            continue
        if t.data_ptr() in seen:
            continue
        v = value(name, t.shape, salt)
        if v is None:
            continue
        seen.add(t.data_ptr())
        src = t.new_tensor(v.tolist() if v.ndim == 0 else v)
        t.copy_(src.to(t.dtype))
        done.append((name, tuple(t.shape)))
    return done


def selftest():
    """Values any correct copy of this file must give (see README)."""
    a = value("conv1.weight", (64, 3, 7, 7))
    b = value("trans_norm.weight", (384,))
    c = value("cls_token", (1, 1, 384))
    return (round(float(a[0, 0, 0, 0]), 7), round(float(b[0]), 7), round(float(c[0, 0, 0]), 7))


if __name__ == "__main__":
    print(selftest())
