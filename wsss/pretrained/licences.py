"""Under which licence the weights are published that a network started from."""

from __future__ import annotations

from wsss.artefacts.files import PACKAGED, Values

OWN = "MIT, as this project, whose rule pretrain_network made them"
UNKNOWN = "not known: the weights came from a file; look where you got it"
NONE = "none is needed: it started from random numbers"
UNSTATED = "not stated by timm"


def licence(initial: Values) -> str:
    """What is known of it, for people to read.

    Args:
        initial: Where its initial weights came from, as the artefact of its training tells.
    """
    if file := initial.get("file"):
        return OWN if file.startswith(PACKAGED) else UNKNOWN
    if "timm" not in initial:
        return NONE
    import timm

    known = timm.get_pretrained_cfg(initial["timm"], allow_unregistered=False)
    return f"{known.license}, as timm states it" if known.license else UNSTATED
