"""What a maker of derived maps is: a module that has the members of :class:`Maker`, listed in the registry.

The configuration reads these modules when Snakemake plans. So they import neither torch nor numpy; functions
that compute import them where they run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from wsss.config.fields import Settings

if TYPE_CHECKING:
    from torch import Tensor

Config = Mapping[str, Any]
BATCH_PIXELS = 2**20  # of the images of a batch that is differentiated; a ResNet-50 holds some 4 kB for each


class Subject(NamedTuple):
    """One image, as a maker sees it.

    Attributes:
        scales: Factors of the image's sides.
        images: The image at each scale, normalised, (3, H, W), on the classifier's device.
        classes: The classes that it shows, K of them, at least one.
        mirror: Whether views are also mirrored.
        others: Square crops of other training images that share no class with it, and their image labels,
            from a number of crops, which may not be reached, and the side in pixels: (B, 3, S, S), (B, C).
    """

    scales: Sequence[float]
    images: Sequence[Tensor]
    classes: Sequence[int]
    mirror: bool
    others: Callable[[int, int], tuple[Tensor, Tensor]]


Check = Callable[[Config], "str | None"]
Groups = Callable[[Any, Config], list[dict[str, Any]]]
Maps = Callable[[Any, Subject, list[dict[str, Any]], Config], "list[Tensor]"]


class Maker(Protocol):
    """The members of a maker's module."""

    @property
    def TITLE(self) -> str:
        """How papers write it."""

    @property
    def ON_TOKENS(self) -> bool:
        """Whether its maps lie on the grid of the tokens, not of the class maps."""

    @property
    def PAIRED(self) -> bool:
        """Whether an image and its mirror image give one map together, as of the image itself."""

    @property
    def Settings(self) -> type[Settings]:
        """Its settings, with the ``kind`` under which the registry lists it."""

    @property
    def check(self) -> Check:
        """What keeps a classifier, by its settings, from giving such maps; None: nothing."""

    @property
    def groups(self) -> Groups:
        """Parameter groups, ``params`` and ``lr``, that learn meanwhile; no other needs a gradient."""

    @property
    def maps(self) -> Maps:
        """Maps (K, h, w), not negative, of each view: scale after scale, unless paired its mirror image next.

        It takes the classifier, in evaluation mode; the image; the groups; the settings. Every parameter is
        the same before and after.
        """
