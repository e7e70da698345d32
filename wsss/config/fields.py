"""The kinds of values that settings have, and what all groups of settings share."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from wsss.config.errors import UNKNOWN, nearest

NAME = r"^[A-Za-z0-9][A-Za-z0-9_]*$"  # of a variant: part of a results path


class Settings(BaseModel):
    """A group of settings: closed, strictly typed; the text below a field says what it means."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, value: Any) -> Any:
        """Name the key that was meant, which pydantic's own error of an unknown key does not."""
        for key in value if isinstance(value, dict) else ():
            if key not in cls.model_fields:
                said = f"{UNKNOWN}; {nearest(key, cls.model_fields)}"
                raise PydanticCustomError(UNKNOWN, "{said}", {"said": said, "at": (key,)})
        return value


def keys_of(value: Any) -> set[str]:
    """Keys of settings, of which the form is chosen where several are allowed; others have none."""
    return set(value) if isinstance(value, dict) else set(getattr(value, "__dict__", ()))


def wrong(expected: str, found: str, *at: Any) -> PydanticCustomError:
    """An error for validators to raise: what was expected and found, and at which key of the settings."""
    context = {"expected": expected, "found": found, "at": at}
    return PydanticCustomError("wrong", "expected {expected}, found {found}", context)


def distinct(values: list[Any]) -> list[Any]:
    """Refuse a list that has one value twice."""
    if twice := [value for index, value in enumerate(values) if value in values[:index]]:
        raise wrong("different values", f"{twice[0]!r} twice")
    return values


def in_order(values: dict[str, Any]) -> dict[str, Any]:
    """Mappings whose keys no model orders, for jobs are compared by their parameters as text."""
    inner = {key: in_order(value) if isinstance(value, dict) else value for key, value in values.items()}
    return dict(sorted(inner.items()))


Name = Annotated[str, Field(pattern=NAME)]
Text = Annotated[str, Field(min_length=1)]
Path = Text
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]

Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0)]
NotNegativeInt = Annotated[int, Field(ge=0)]
Pixels = Annotated[int, Field(ge=1)]
Stride = Literal[4, 8, 16, 32]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Unit = Annotated[float, Field(ge=0, le=1)]
Fraction = Annotated[float, Field(gt=0, lt=1)]

Range = Annotated[list[Positive], Field(min_length=2, max_length=2)]
PixelRange = Annotated[list[Pixels], Field(min_length=2, max_length=2)]
Scales = Annotated[list[Positive], Field(min_length=1), AfterValidator(distinct)]
Channels = Annotated[list[float], Field(min_length=3, max_length=3)]  # R, G, B in 0..1
Names = Annotated[list[Name], Field(min_length=1), AfterValidator(distinct)]
Runs = Annotated[list[Seed], Field(min_length=1), AfterValidator(distinct)]
Arguments = Annotated[dict[str, Any], AfterValidator(in_order)]  # for timm's constructor

Precision = Literal["mixed", "full"]
Direction = Literal["gather", "hand_on", "literal"]
Rule = Literal["half_maximum", "otsu", "half_maximum_dataset", "otsu_dataset"]
Threshold = Unit | Rule
Neighbours = Count | Fraction
