"""What is wrong with a configuration, in one line: the path, what was expected, what was found."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

Keys = tuple[Any, ...]
UNKNOWN = "unknown key"  # kind and beginning of an error of its own
# Keys that have another name now.
RENAMED = {
    "seeds": "runs",
    "seed": "masked",
    "apc": "single_stage",
    "apc_inferences": "single_stage_inferences",
    "train_apc": "train_single_stage",
}
LONGEST = 80  # characters of a value that are shown
# What is expected, by pydantic's kind of error; others say it well enough.
WORDS = {
    "missing": "a value",
    "union_tag_not_found": "a kind",
    "union_tag_invalid": "one of {expected_tags}",
    "model_type": "keys and values",
    "dict_type": "keys and values",
    "list_type": "a list",
    "string_type": "text",
    "string_too_short": "text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "too_short": "at least {min_length} entries",
    "too_long": "at most {max_length} entries",
    "string_pattern_mismatch": "text that matches {pattern}",
}


class ConfigError(ValueError):
    """A configuration that cannot be used; the message says which key to change."""


def explain(error: ValidationError, config: Any, given: Any = None) -> str:
    """The first thing that is wrong, unknown keys before all, and how many others are.

    Args:
        error: Of a model of ``config``.
        config: Mappings, lists and plain values.
        given: The same before variants took what they extend; of a fault that many inherit the place where
            it was written is named, and it counts once.
    """
    wrong = dict(_by_path(error, config))
    wrong = {path: said for path, said in wrong.items() if _holds(given, path)} or wrong
    unknown = [path for path in wrong if wrong[path].startswith(UNKNOWN)]
    first = unknown[0] if unknown else next(iter(wrong))
    # of several forms that are allowed in one place the one that was meant
    path = max((path for path in wrong if path[: len(first)] == first), key=len)
    around = path[:-1] if unknown else first  # what lacks there may be what is misspelt
    others = sum(other[: len(around)] != around and around[: len(other)] != other for other in wrong)
    return f"{dotted(path)}: {wrong[path]}" + (f" (and {others} more)" if others else "")


def _holds(config: Any, path: Keys) -> bool:
    """Whether a path leads to a value, keys with dots followed as well."""
    if not path:
        return True
    if isinstance(config, list):
        return path[0] < len(config) and _holds(config[path[0]], path[1:])
    if not isinstance(config, Mapping):
        return False
    starts = [(path[0], path[1:]), *((dotted(path[:n]), path[n:]) for n in range(2, len(path) + 1))]
    return any(key in config and _holds(config[key], rest) for key, rest in starts)


def dotted(keys: Keys) -> str:
    """Keys as they are written in messages; nothing is the configuration itself."""
    return ".".join(map(str, keys)) or "the configuration"


def nearest(key: Any, known: Any) -> str:
    """The known key that looks most like one that is not, and all that are known; or the key's name now."""
    names = list(map(str, known))
    if (now := RENAMED.get(str(key))) in names:
        return f"it is called {now!r} now"
    close = get_close_matches(str(key), names, 1)
    return (f"did you mean {close[0]!r}? " if close else "") + f"known are {', '.join(names)}"


def former(key: str) -> list[str]:
    """Names that a key had before."""
    return [old for old, now in RENAMED.items() if now == key]


def _by_path(error: ValidationError, config: Any) -> Iterator[tuple[Keys, str]]:
    """What is wrong at each path; where several forms are allowed, none of which fits, all are named."""
    found = [(_path(one, config), one) for one in error.errors(include_url=False)]
    for path, group in groupby(found, lambda pair: pair[0]):
        wrong = [one for _, one in group]
        if wrong[0]["type"] == UNKNOWN:
            yield path, wrong[0]["msg"]
            continue
        expected = " or ".join(dict.fromkeys(_expected(one) for one in wrong))
        yield path, f"expected {expected}, found {_found(wrong[0])}"


def _path(error: ErrorDetails, config: Any) -> Keys:
    """Keys of the configuration; pydantic's own names of alternatives are left out."""
    path: list[Any] = []
    value, absent = config, error["loc"][-1:] if error["type"] == "missing" else ()
    for key in error["loc"]:
        if isinstance(value, Mapping) and (key in value or key in absent):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int):
            value = value[key]
        else:
            continue
        path.append(key)
    context = error.get("ctx", {})
    if error["type"].startswith("union_tag"):
        return (*path, "kind")
    return (*path, *context.get("at", ()))


def _expected(error: ErrorDetails) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind in WORDS:
        return WORDS[kind].format(**context)
    return str(context.get("expected", error["msg"])).removeprefix("Input should be ")


def _found(error: ErrorDetails) -> str:
    context = error.get("ctx", {})
    if error["type"] in ("missing", "union_tag_not_found"):
        return "none"
    if error["type"] == "union_tag_invalid":
        return repr(context["tag"])
    return str(context["found"]) if error["type"] == "wrong" else _shown(error["input"])


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."
