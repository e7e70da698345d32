"""Import timm without torch's compiler, whose import takes longer than the rest of timm together."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch.compiler

COMPILER = "torch._dynamo"


def import_timm() -> None:
    """Import timm; a later use of ``torch.compile`` imports the compiler as always.

    timm marks one of its models as not to be compiled, and torchvision asks whether its pooling of regions
    can be: both import the compiler to say so, and this project compiles neither. Where either has been
    imported before, nothing is gained and nothing is lost.
    """
    with _without_compiler():
        import timm  # noqa: F401


@contextmanager
def _without_compiler() -> Iterator[None]:
    """Answer both questions inside the block; the stand-ins leave with it."""
    utils = f"{COMPILER}.utils"
    if COMPILER in sys.modules:
        yield
        return
    package, answers = ModuleType(COMPILER), ModuleType(utils)
    answers.is_compile_supported = lambda device: False  # type: ignore[attr-defined]
    package.utils = answers  # type: ignore[attr-defined]
    disable = torch.compiler.disable
    torch.compiler.disable = _uncompiled  # type: ignore[assignment]
    sys.modules |= {COMPILER: package, utils: answers}
    try:
        yield
    finally:
        torch.compiler.disable = disable
        del sys.modules[COMPILER], sys.modules[utils]


def _uncompiled(function: Any = None, **_: Any) -> Callable[..., Any]:
    """``torch.compiler.disable`` where nothing is compiled: with or without arguments, a decorator."""
    return (lambda decorated: decorated) if function is None else function
