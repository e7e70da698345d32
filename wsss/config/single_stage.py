"""Settings of single-stage methods, and of inference with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Union

from pydantic import Field

from wsss.config.fields import Pixels, Settings
from wsss.config.networks import Crf
from wsss.single_stage.registry import SETTINGS, SOURCES

if TYPE_CHECKING:  # what the registry lists is known when it is imported, not before
    SingleStage = Settings
    Source = str
else:
    SingleStage = Annotated[Union[(*SETTINGS.values(),)], Field(discriminator="kind")]
    Source = Literal[tuple(dict.fromkeys(source for sources in SOURCES.values() for source in sources))]


class SingleStageInference(Settings):
    """How a trained single-stage network labels an image."""

    side: Pixels
    """Both sides of the resized image, pixels."""
    source: Source
    """What of the network's output is taken, of what its method offers."""
    tags: bool
    """Whether the image's labels restrict the classes; no score of val that counts may have them."""
    crf: Crf | None = None
    """Dense CRF; None: none."""
