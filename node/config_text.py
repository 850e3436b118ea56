"""A configuration as TOML text that loads as it stands."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from .config import NodeConfig
from .units import format_duration, format_size, parse_duration, parse_size

__all__ = ["to_toml", "toml_value"]

Origin = Callable[[str], str]

_WRITERS: Final[dict[Any, Callable[[Any], str]]] = {parse_duration: format_duration, parse_size: format_size}
"""How what a field's type reads is written."""


def to_toml(config: NodeConfig, origin: Origin | None = None) -> str:
    """Write every key, defaults too; with ``origin``, each with a comment that tells where its value came from."""
    return "\n".join(_section("", config, origin)).lstrip("\n") + "\n"


def _section(path: str, section: BaseModel, origin: Origin | None, heading: str = "") -> Iterator[str]:
    if heading:
        yield f"\n{heading}"
    inner: list[str] = []
    for name, info in type(section).model_fields.items():
        value, where = getattr(section, name), f"{path}.{name}" if path else name
        if where == "channels":
            for index, channel in enumerate(value):
                inner += _section(f"{where}[{index}]", channel, origin, f"[[{where}]]")
        elif isinstance(value, BaseModel) and not path:
            inner += _section(where, value, origin, f"[{where}]")
        elif value is not None:
            line = f"{'# ' * _silent(section, where)}{name} = {toml_value(value, info)}"
            yield f"{line:<40} # {origin(where)}" if origin else line
    yield from inner


def _silent(section: BaseModel, where: str) -> bool:
    """Whether a key would mean something else if its default were written out: it means less while it is unset."""
    return where == "limits.connections_per_ip" and "connections_per_ip" not in section.model_fields_set


def toml_value(value: Any, info: FieldInfo | None = None) -> str:
    """Write a value as TOML; the field that it is of tells its unit."""
    match value:
        case BaseModel():
            fields = type(value).model_fields
            return _table({name: toml_value(inner, fields[name]) for name, inner in value if inner is not None})
        case Mapping():
            return _table({json.dumps(key): toml_value(inner) for key, inner in value.items()})
        case int() | float() if info and (write := _writer(info)):
            return json.dumps(write(value))
        case str() | Path():
            # TOML has JSON's escapes, but not its pairs of surrogates: those characters stand as they are.
            return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
        case Sequence():
            return f"[{', '.join(map(toml_value, value))}]"
        case _:
            return json.dumps(value)


def _table(pairs: Mapping[str, str]) -> str:
    return f"{{ {', '.join(f'{key} = {text}' for key, text in pairs.items())} }}" if pairs else "{}"


def _writer(info: FieldInfo) -> Callable[[Any], str] | None:
    """Find how a number is written, by the validator that reads it; of an optional field it stands further in."""
    inside = [mark for part in get_args(info.annotation) for mark in getattr(part, "__metadata__", ())]
    readers = [mark.func for mark in (*info.metadata, *inside) if isinstance(mark, BeforeValidator)]
    return next((_WRITERS[reader] for reader in readers if reader in _WRITERS), None)
