"""How any error of ours crosses a connection: as the name of its class, and its fields."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any, Final, get_type_hints

import msgspec

from liminal_mesh.cluster import AddressInUse, CookieRejected, NameInUse, ProtocolError, StaleEpoch
from liminal_mesh.storage import Failed, LiminalError, Refused, Unknown

from . import errors

__all__ = ["from_wire", "to_wire"]

_KINDS: Final[dict[str, type[LiminalError]]] = {kind.__name__: kind for kind in (Refused, Failed, Unknown)}

_OURS: Final = [kind for kind in map(vars(errors).get, errors.__all__) if isinstance(kind, type)]
_LEAVES: Final[dict[str, type[LiminalError]]] = {
    kind.__name__: kind
    for kind in (AddressInUse, CookieRejected, NameInUse, ProtocolError, StaleEpoch, *_OURS)
    if issubclass(kind, LiminalError)
}


def to_wire(error: LiminalError) -> tuple[str, dict[str, Any]]:
    """Return an error as its class's name and its fields, in types that msgpack holds.

    An error without a class of its own on the other side travels as its kind and its text.
    """
    for base in type(error).__mro__:
        if base.__name__ in _LEAVES:
            return base.__name__, {name: msgspec.to_builtins(value) for name, value in error.fields().items()}
    kind = next((name for name, base in _KINDS.items() if isinstance(error, base)), "Failed")
    return kind, {"text": str(error)}


def from_wire(name: str, fields: Mapping[str, Any]) -> LiminalError:
    """Build the error that :func:`to_wire` was given; never raises.

    A class that this version does not know, or fields that do not fit, become a :class:`Failed` with the facts in
    its text. Fields that a newer version added are left out.
    """
    if name in _KINDS:
        return _KINDS[name](str(fields.get("text", name)))
    try:
        hints = _hints(name)
        return _LEAVES[name](**{key: msgspec.convert(fields[key], hints[key]) for key in hints if key in fields})
    except (KeyError, TypeError, ValueError):
        facts = ", ".join(f"{key}={value!r}" for key, value in fields.items())
        return Failed(f"{name}({facts})")


@cache
def _hints(name: str) -> dict[str, Any]:
    init = _LEAVES[name].__init__
    hints = get_type_hints(init)
    return {key: hints[key] for key in list(inspect.signature(init).parameters)[1:]}
