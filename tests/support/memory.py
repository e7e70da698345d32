"""How much memory a computation holds at once, by the tensors that are alive."""

import weakref
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Peak(TorchDispatchMode):
    """Largest total of the storages that were made inside and alive at one time; for work without gradients.

    Args:
        *given: Tensors made before, which do not count, nor do their views.
    """

    def __init__(self, *given: Tensor) -> None:
        super().__init__()
        self.bytes = 0
        self._given = {tensor.untyped_storage().data_ptr() for tensor in given}
        self._alive: list[weakref.ref[Tensor]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        self._alive += [weakref.ref(leaf) for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        alive = [tensor for reference in self._alive if (tensor := reference()) is not None]
        storages = {
            tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in alive
        }
        self.bytes = max(self.bytes, sum(size for key, size in storages.items() if key not in self._given))
        return result
