"""Settings of methods: what is made of a classifier's stored views, and single stages' own maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Union

from pydantic import Field

from wsss.config.fields import Settings
from wsss.methods.class_maps.registry import METHODS, SETTINGS
from wsss.methods.derived_maps.registry import MAKERS


class Patches(Settings):
    """The scores of a single-stage network, the only method of its variants."""

    kind: Literal["patches"]


KINDS: tuple[str, ...] = (*METHODS, *MAKERS, "patches")  # of class maps, by which thresholds are chosen

if TYPE_CHECKING:  # what the registry lists is known when it is imported, not before
    Method = Settings
    MapKind = str
else:
    Method = Annotated[Union[(*SETTINGS.values(), Patches)], Field(discriminator="kind")]
    MapKind = Literal[KINDS]
