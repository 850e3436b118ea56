"""Under which names a node may be asked.

A page of some other site can point its own name at 127.0.0.1 and let a visitor's browser ask us (DNS rebinding). The
browser then says that other name in ``Host``, so only names that are ours are answered.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ..config import HttpConfig

__all__ = ["allowed_hosts", "is_allowed", "is_same_origin"]

_ALWAYS: Final = frozenset({"127.0.0.1", "localhost", "::1"})

_ANY: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - never bound to: a browser can be made to ask for these names

_HOST: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::[0-9]{1,5})?\Z")


def allowed_hosts(config: HttpConfig) -> frozenset[str]:
    """Return the names that a request may be for: the machine's own, where we listen, and what is configured."""
    configured = {_host(name) or name.lower() for name in config.allowed_hosts}
    return (_ALWAYS | {config.address.host.lower()}) - _ANY | configured


def is_allowed(headers: Sequence[str], hosts: frozenset[str]) -> bool:
    """Whether the ``Host`` headers of a request are one, and name one of ``hosts`` with whatever port."""
    return len(headers) == 1 and _host(headers[0]) in hosts


def is_same_origin(origins: Sequence[str], host: str) -> bool:
    """Whether a request that changes something comes from no page at all, or from one that was served under ``host``.

    Browsers say in ``Origin`` whose page asks; programs say nothing.
    """
    return not origins or (len(origins) == 1 and origins[0].lower() in _origins(host.lower()))


def _origins(host: str) -> tuple[str, str]:
    return f"http://{host}", f"https://{host}"


def _host(text: str) -> str | None:
    match = _HOST.match(text)
    return (match[1] or match[2]).lower() if match else None
