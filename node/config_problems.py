"""What is wrong with a configuration, in the words of whoever wrote it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from .errors import Problem
from .names import nearest

__all__ = ["Location", "path_text", "problems_in", "section_at", "unknown_key"]

Location: TypeAlias = "tuple[int | str, ...]"
"""Where something is in the tree of the configuration: ``("channels", 2, "inbox", "overflow")``."""

LATER: Final = frozenset(
    {
        "auth",
        "groups",
        "routing_rules",
        "client.tls",
        "http.tls",
        "cluster.tls",
        "cluster.members",
        "channels.retention",
        "channels.copies",
        "channels.partitions",
        "channels.partition_by",
    }
)
"""Keys that belong to what this version does not do yet: told apart from a misspelling."""


def path_text(location: Iterable[int | str]) -> str:
    """Write a location as ``channels[2].inbox.overflow``."""
    text = ""
    for step in location:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def problems_in(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Return everything that pydantic found, in our words."""
    return [Problem(path_text(found["loc"]), _message(found, model)) for found in error.errors(include_url=False)]


def section_at(model: type[BaseModel], location: Sequence[int | str]) -> type[BaseModel] | None:
    """Return the section of the model that a location leads to, or ``None`` when there is none."""
    section: type[BaseModel] | None = model
    for step in location:
        if isinstance(step, int):
            continue
        field = section.model_fields.get(step) if section else None
        section = _section_in(field.annotation) if field else None
    return section


def unknown_key(location: Location, model: type[BaseModel]) -> str:
    """Say that there is no such key, and which one was probably meant."""
    if ".".join(step for step in location if isinstance(step, str)) in LATER:
        return "is not available in this version"
    section = section_at(model, location[:-1])
    suggestion = nearest(str(location[-1]), section.model_fields) if section else ""
    return f"unknown key; did you mean {suggestion!r}?" if suggestion else "unknown key"


def _section_in(annotation: Any) -> type[BaseModel] | None:
    """Find the section in an annotation such as ``Section | None`` or a list of sections."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_section_in, get_args(annotation))), None)


def _message(found: ErrorDetails, model: type[BaseModel]) -> str:
    match found["type"]:
        case "extra_forbidden":
            return unknown_key(found["loc"], model)
        case "missing":
            return "is missing"
        case "value_error":
            return str(found["ctx"]["error"])
        case "sequence_str" | "is_instance_of":
            return f"has to be a list, not {_shown(found['input'])}"
        case "path_type":
            return f"has to be a path, not {_shown(found['input'])}"
        case "model_type" | "model_attributes_type" | "dict_type" | "mapping_type":
            return f"has to be a table, not {_shown(found['input'])}"
        case _:
            said = found["msg"].removeprefix("Input ").replace("should be", "has to be", 1)
            return f"{said}, not {_shown(found['input'])}"


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 64 else f"{text[:61]}..."
