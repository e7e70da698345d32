"""Import mmsegmentation on mmcv-lite, which lacks the compiled operators that ``mmcv.ops`` asks for."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType
from typing import Any, NoReturn

NAME = "mmcv._ext"


class _Operators(ModuleType):
    """Has every operator; each raises when it is called."""

    def __getattr__(self, operator: str) -> Callable[..., NoReturn]:
        if operator.startswith("__"):
            raise AttributeError(operator)

        def missing(*args: Any, **kwargs: Any) -> NoReturn:
            raise RuntimeError(f"{NAME}.{operator} is not compiled in mmcv-lite; install mmcv to use it")

        return missing


@contextmanager
def compiled_operators_optional() -> Iterator[None]:
    """Let ``mmseg.models`` be imported inside the block whether or not mmcv's operators are compiled.

    The stand-in for the compiled module leaves ``sys.modules`` with the block, because mmengine takes its
    presence for a full mmcv.
    """
    if NAME in sys.modules or find_spec(NAME) is not None:
        yield
        return
    sys.modules[NAME] = _Operators(NAME)
    try:
        yield
    finally:
        del sys.modules[NAME]
