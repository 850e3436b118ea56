"""The W3C trace context of a message: which trace it belongs to, and which span caused it.

It stands in the message's headers under the names that the W3C gives it, as it would on HTTP, so that any tracer's
propagator can write and read it; the bus carries headers as they are, from node to node::

    traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
                 |  trace id                         span id          flags
                 version
    tracestate:  vendor=opaque,tenant@other=opaque

What is malformed is no context. The node that a message enters at drops it and counts that, since whoever reads it
behind would have to ignore it too: a malformed traceparent goes with its tracestate, a malformed tracestate alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from liminal_mesh.cluster import Envelope, OptionKey, ProtocolError

from .options import headers_of

__all__ = ["TRACEPARENT", "TRACESTATE", "TraceContext", "drop_bad_trace", "trace_of"]

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"

MEMBERS_MAX: Final = 32
"""The most members of a tracestate."""

_TRACE_ID: Final = re.compile(r"(?!0{32})[0-9a-f]{32}")
_SPAN_ID: Final = re.compile(r"(?!0{16})[0-9a-f]{16}")
_PARENT: Final = re.compile(rf"([0-9a-f]{{2}})-({_TRACE_ID.pattern})-({_SPAN_ID.pattern})-([0-9a-f]{{2}})(-.*)?")
_KEY: Final = r"[a-z0-9][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13}"
_MEMBER: Final = re.compile(rf"({_KEY})=[ -+\--<>-~]{{0,255}}[!-+\--<>-~]")


class TraceContext(msgspec.Struct, frozen=True):
    """The trace that a message belongs to, and the span that caused it.

    ``message.trace`` has that of a message. To carry it on as it is, publish with ``headers=message.trace.headers()``;
    a program that records a span of its own publishes with ``message.trace.child(span_id).headers()``.

    Raises:
        ValueError: a part of it is malformed.
    """

    trace_id: str
    """32 hexadecimal digits, in lower case."""
    span_id: str
    """16 of them: of the span that caused the message."""
    flags: int = 0
    """Eight bits; the lowest one says that the trace is sampled."""
    state: str = ""
    """What tracers say to each other, the text of ``tracestate``."""

    def __post_init__(self) -> None:
        if not _TRACE_ID.fullmatch(self.trace_id):
            raise ValueError(f"trace_id={self.trace_id!r}: 32 hexadecimal digits in lower case, not all of them zero")
        if not _SPAN_ID.fullmatch(self.span_id):
            raise ValueError(f"span_id={self.span_id!r}: 16 hexadecimal digits in lower case, not all of them zero")
        if not 0 <= self.flags <= 0xFF:
            raise ValueError(f"flags={self.flags}: eight bits")
        if not _is_state(self.state):
            raise ValueError(f"state={self.state!r}: members divided by commas, as in 'vendor=opaque'")

    @property
    def sampled(self) -> bool:
        """Whether whoever began the trace wants it recorded."""
        return bool(self.flags & 1)

    def child(self, span_id: str) -> TraceContext:
        """Return the context of what another span of the same trace causes."""
        return TraceContext(self.trace_id, span_id, self.flags, self.state)

    def headers(self) -> dict[str, str]:
        """Return the context as headers of a publish."""
        parent = {TRACEPARENT: f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"}
        return parent | ({TRACESTATE: self.state} if self.state else {})


def trace_of(headers: Mapping[str, str]) -> TraceContext | None:
    """Return the trace context that headers carry; None when there is none, or what is there is malformed."""
    found = _PARENT.fullmatch(headers.get(TRACEPARENT, ""))
    # Later versions may say more behind the flags. The last of all numbers is none.
    if found is None or found[1] == "ff" or (found[1] == "00" and found[5]):
        return None
    state = headers.get(TRACESTATE, "")
    return TraceContext(found[2], found[3], int(found[4], 16), state if _is_state(state) else "")


def drop_bad_trace(envelope: Envelope) -> bool:
    """Take a malformed trace context out of a message; return whether there was one."""
    options = envelope.options
    raw = options.get(OptionKey.HEADERS) if options is not None else None
    if options is None or raw is None or b"trace" not in bytes(raw):
        return False
    try:
        headers = headers_of(envelope)
    except ProtocolError:
        return False  # whoever reads them is told
    if trace_of(headers) is None:
        bad = {TRACEPARENT, TRACESTATE}
    else:
        bad = set() if _is_state(headers.get(TRACESTATE, "")) else {TRACESTATE}
    kept = {name: value for name, value in headers.items() if name not in bad}
    if len(kept) == len(headers):
        return False
    rest = {key: option for key, option in options.items() if key != OptionKey.HEADERS}
    if kept:
        rest[OptionKey.HEADERS.value] = msgspec.Raw(msgspec.msgpack.encode(kept))
    envelope.options = rest or None
    return True


def _is_state(text: str) -> bool:
    """Whether a text is a tracestate: members with keys that differ; empty ones, and blanks around them, may be."""
    members = [member for member in (one.strip(" \t") for one in text.split(",")) if member]
    if len(members) > MEMBERS_MAX:  # said before any is looked at: there may be thousands
        return False
    found = [_MEMBER.fullmatch(member) for member in members]
    return len({match[1] for match in found if match is not None}) == len(members)
