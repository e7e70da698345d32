"""What a method of class maps is: a module that has the members of :class:`Method`, listed in the registry.

The configuration reads these modules when Snakemake plans. So they import neither torch nor numpy; functions
that compute import them where they run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from wsss.config.fields import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from wsss.config.classifiers import Views

Config = Mapping[str, Any]


class ViewsMethod(Settings):
    """What every method that makes class maps of views may be asked for."""

    normalise_views: Literal["before", "after", "never"] = "never"
    """Divide each view's maps by their maximum: before the method (AD-CAM, Eq. 2), after it, never (IRN)."""


class Tensors(Protocol):
    """What one file stores of one view."""

    @property
    def params(self) -> Config:
        """What was asked of ``extract_maps``: the classifier's ``views``, and what it adds to them."""

    def read(self, name: str) -> Tensor:
        """One tensor by name, float32 or int64; refuses a name that is not stored."""

    def refusal(self, said: str) -> Exception:
        """An error to raise that names the file and says what is wrong with it."""


class View(Protocol):
    """One stored view of one image; tensors are read when they are asked for."""

    @property
    def cams(self) -> Tensors:
        """Class maps: ``cam``, ``tokens`` (K, h, w), and what methods have :attr:`Method.stored`."""

    @property
    def attention(self) -> Tensors:
        """``neighbours``, ``values``, ``similarities`` (N, m), ``token`` (N,)."""


class Held(NamedTuple):
    """What ``extract_maps`` holds of one view and stores only in part.

    Attributes:
        cam: Raw class maps, (K, h, w).
        blocks: Attention of all blocks, class token first, (L, N+1, N+1).
        matrix: Row-stochastic relations among the patches A, (N, N).
    """

    cam: Tensor
    blocks: Tensor
    matrix: Tensor


Source = Callable[[View], "Tensor"]
Maps = Callable[[View, Any], "Tensor"]  # by the model of the method's settings
Stored = Callable[[Held, "Views"], "dict[str, Tensor]"]
Check = Callable[[str, Config, Config, Config], list[str]]


class Method(Protocol):
    """The members of a method's module; ``None`` where a method has no use for one."""

    @property
    def TITLE(self) -> str:
        """How papers write the method."""

    @property
    def NEEDS_ATTENTION(self) -> bool:
        """Whether it needs a classifier with attention, and class maps on the grid of its tokens."""

    @property
    def Settings(self) -> type[ViewsMethod]:
        """Its settings, with the ``kind`` under which the registry lists it."""

    @property
    def check(self) -> Check | None:
        """Findings where a classifier's ``views`` store less than it reads.

        It takes where the configuration names both, such as ``datasets.voc.main``; the names of the
        ``classifier`` and the ``method`` there; the method's settings; the classifier's.
        """

    @property
    def stored(self) -> Stored | None:
        """What is made for it while a view's attention is held: maps (..., h, w) by name.

        It takes what is held and the classifier's ``views``, which may ask for nothing.
        """

    @property
    def source(self) -> Source:
        """The maps in which it is linear, by whose maximum ``normalise_views: before`` divides, (K, h, w)."""

    @property
    def maps(self) -> Maps:
        """Class maps of one view by its settings, (K, h, w)."""
