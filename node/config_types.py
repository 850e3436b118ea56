"""What the sections of the configuration are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    Strict,
    ValidationError,
    WithJsonSchema,
)

from liminal_mesh.cluster import NODE_NAME, parse_address

from .config_problems import problems_in
from .errors import ConfigError
from .names import check_name, check_pattern
from .units import parse_duration, parse_size

__all__ = [
    "AUTO",
    "Advertise",
    "ChannelName",
    "Count",
    "Duration",
    "Flag",
    "Items",
    "Listen",
    "Name",
    "NodeName",
    "SchemaSource",
    "Section",
    "Size",
]

T = TypeVar("T")

AUTO: Final = "auto"
"""Instead of an address to advertise: this machine's host name."""


def _check_address(text: str) -> str:
    return str(parse_address(text))


def _check_node_name(name: str) -> str:
    if not NODE_NAME.match(name):
        raise ValueError(f"{name!r} is no node name: 1 to 63 of A-Z a-z 0-9 _ -")
    return name


def _check_schema_source(value: object) -> Path | Mapping[str, Any]:
    if isinstance(value, str | Path) and str(value):
        return Path(value)
    if not isinstance(value, Mapping):  # pydantic wants this kind of error
        raise ValueError("has to be the path of a file with a JSON Schema, or a table that is one")  # noqa: TRY004
    from .schema import Schema  # imported late, since few need it

    Schema(value)
    return dict(value)


_UNIT_SCHEMA = [{"type": "string"}, {"type": "number", "exclusiveMinimum": 0}]

Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema({"anyOf": _UNIT_SCHEMA, "examples": ["250ms", "5s", "10m"]}),
]
"""Seconds; written ``250ms``, ``5s``, ``10m``, ``2h``, ``7d``, or as a number."""

Size = Annotated[
    int, BeforeValidator(parse_size), WithJsonSchema({"anyOf": _UNIT_SCHEMA, "examples": ["4KiB", "64MiB"]})
]
"""Bytes; written ``4KiB``, ``64MiB``, ``1GiB``, or as a number."""

Count = Annotated[int, Strict(), Field(ge=1)]
"""A whole number above zero."""

Flag = Annotated[bool, Strict()]
"""true or false, and nothing that merely looks like it."""

Listen = Annotated[str, AfterValidator(_check_address)]
"""``host:port``, or ``[v6]:port``."""

Advertise = Annotated[str, AfterValidator(lambda text: text if text == AUTO else _check_address(text))]
"""``host:port``, or ``auto``."""

NodeName = Annotated[str, AfterValidator(_check_node_name)]
"""A node's name."""

Name = Annotated[str, AfterValidator(lambda name: check_name(name, "cluster"))]
"""The exact name of a cluster."""

ChannelName = Annotated[str, AfterValidator(check_pattern)]
"""A channel's name, or a pattern that declares a family of channels."""

SchemaSource = Annotated[
    Path | Mapping[str, Any],
    PlainValidator(_check_schema_source),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object"}]}),
]
"""A JSON Schema: the path of its file, or the schema itself."""

Items = Annotated[Sequence[T], AfterValidator(tuple)]
"""A list, kept as a tuple."""


class Section(BaseModel):
    """A part of the configuration: frozen, without unknown keys, and a :class:`ConfigError` when it is wrong."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=False, hide_input_in_errors=True
    )

    # Type checkers take the signature from the fields; this one would hide it from them.
    if not TYPE_CHECKING:

        def __init__(self, /, **data: Any) -> None:
            try:
                super().__init__(**data)
            except ValidationError as error:
                raise ConfigError(problems_in(error, type(self))) from None

        # Without this mark pydantic would call it for nested sections too, and report only the first that is wrong.
        __init__.__pydantic_base_init__ = True
