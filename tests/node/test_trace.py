"""The W3C trace context: what is one, what is none, and what a message does with it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from liminal_mesh.cluster import Envelope, OptionKey
from liminal_mesh.node.message import encode_headers
from liminal_mesh.node.trace import MEMBERS_MAX, TRACEPARENT, TRACESTATE, TraceContext, drop_bad_trace, trace_of

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"
STATE = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"

HEX = "0123456789abcdef"


def ids(length: int) -> st.SearchStrategy[str]:
    """Return ids of so many digits."""
    return st.text(HEX, min_size=length, max_size=length).filter(lambda text: set(text) != {"0"})


KEYS = st.from_regex(r"[a-z0-9][a-z0-9_*/-]{0,20}(@[a-z][a-z0-9_*/-]{0,13})?", fullmatch=True)
VALUES = st.from_regex(r"[ -+\--<>-~]{0,20}[!-+\--<>-~]", fullmatch=True)
STATES = st.dictionaries(KEYS, VALUES, max_size=5).map(
    lambda members: ",".join(f"{key}={value}" for key, value in members.items())
)
CONTEXTS = st.builds(TraceContext, ids(32), ids(16), st.integers(0, 255), STATES)


@given(CONTEXTS)
def test_a_context_becomes_headers_and_the_same_context_again(context: TraceContext) -> None:
    """Each part of it."""
    headers = context.headers()

    assert set(headers) == {TRACEPARENT, TRACESTATE} if context.state else {TRACEPARENT}
    assert trace_of(headers) == context


@given(CONTEXTS, ids(16))
def test_a_child_is_of_the_same_trace_and_of_its_own_span(context: TraceContext, span: str) -> None:
    """Whether it is sampled, and what tracers say to each other, goes on with it."""
    child = context.child(span)

    assert child == TraceContext(context.trace_id, span, context.flags, context.state)
    assert child.sampled == context.sampled == bool(context.flags & 1)


def test_the_example_of_the_standard_is_read() -> None:
    """Part by part."""
    assert trace_of({TRACEPARENT: PARENT, TRACESTATE: STATE}) == TraceContext(TRACE, SPAN, 1, STATE)
    assert trace_of({}) is None
    assert trace_of({TRACESTATE: STATE}) is None


@pytest.mark.parametrize(
    "parent",
    [
        "",
        PARENT.upper(),
        f" {PARENT}",
        f"{PARENT}\n",
        f"{PARENT}-",
        f"{PARENT}-what-the-future-brings",
        f"ff-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01.what",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-0x",
        f"00_{TRACE}_{SPAN}_01",
        f"00-{TRACE}-{SPAN}",
        PARENT.replace("0", "\u0660"),
    ],
)
def test_a_malformed_parent_is_none(parent: str) -> None:
    """And its state with it."""
    assert trace_of({TRACEPARENT: parent, TRACESTATE: STATE}) is None


@pytest.mark.parametrize("parent", [f"cc-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01-what-the-future-brings"])
def test_a_later_version_is_read_as_far_as_it_is_known(parent: str) -> None:
    """It is told on in ours."""
    context = trace_of({TRACEPARENT: parent})

    assert context == TraceContext(TRACE, SPAN, 1)
    assert context.headers() == {TRACEPARENT: PARENT}


@pytest.mark.parametrize(
    "state", ["", " ", "a=1", "a=1,", " a=1 ,\tb=2", "a@b=1", "0=1", "a= x", f"a={'v' * 256}", "a=" + "~" * 256]
)
def test_a_state_of_the_standards_form_is_kept_as_it_is(state: str) -> None:
    """Blanks around its members too."""
    context = trace_of({TRACEPARENT: PARENT, TRACESTATE: state})

    assert context is not None
    assert context.state == state


@pytest.mark.parametrize(
    "state",
    [
        "a",
        "=1",
        "a=",
        "A=1",
        "a=1,a=2",
        "a=b=c",
        "a=1;b=2",
        "a=\u00e9",
        "a@=1",
        "a@b@c=1",
        f"{'k' * 257}=1",
        f"a={'v' * 257}",
        ",".join(f"k{number}=1" for number in range(MEMBERS_MAX + 1)),
    ],
)
def test_a_malformed_state_is_left_out_alone(state: str) -> None:
    """The trace goes on without it."""
    assert trace_of({TRACEPARENT: PARENT, TRACESTATE: state}) == TraceContext(TRACE, SPAN, 1)


@given(st.text(), st.text())
@example(PARENT, "\ud800")
def test_whatever_headers_hold_it_is_a_context_or_none(parent: str, state: str) -> None:
    """They come from anybody."""
    context = trace_of({TRACEPARENT: parent, TRACESTATE: state})

    assert context is None or trace_of(context.headers()) == context


@given(st.integers(0, len(PARENT) - 1), st.sampled_from("0gG- .") | st.just(""))
def test_a_parent_with_one_wrong_character_is_none_or_another(place: int, instead: str) -> None:
    """Never half of one."""
    parent = PARENT[:place] + instead + PARENT[place + 1 :]
    context = trace_of({TRACEPARENT: parent})

    assert context is None or context.headers()[TRACEPARENT][2:] == parent[2:]


@pytest.mark.parametrize(
    ("parts", "named"),
    [
        ({"trace_id": TRACE.upper()}, "trace_id"),
        ({"trace_id": "0" * 32}, "trace_id"),
        ({"span_id": SPAN[1:]}, "span_id"),
        ({"flags": 256}, "flags"),
        ({"flags": -1}, "flags"),
        ({"state": "a"}, "state"),
    ],
)
def test_a_context_that_a_program_makes_is_looked_at(parts: dict[str, object], named: str) -> None:
    """The error names the part."""
    with pytest.raises(ValueError, match=rf"^{named}="):
        TraceContext(**{"trace_id": TRACE, "span_id": SPAN, **parts})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^span_id="):
        TraceContext(TRACE, SPAN).child("x")


# --- what a node does with a message ---


OTHER = {99: msgspec.Raw(b"\xc0")}
"""An option that we do not know."""


def envelope(headers: dict[str, str], more: dict[int, msgspec.Raw] | None = None) -> Envelope:
    """Return a publish with these headers, and more options."""
    return Envelope(0, 0, 0, 0, 0, b"", {**(encode_headers(headers) or {}), **(more or {})} or None)


def headers_of(one: Envelope) -> dict[str, str]:
    """Return its headers."""
    raw = (one.options or {}).get(OptionKey.HEADERS)
    return {} if raw is None else msgspec.msgpack.decode(raw, type=dict[str, str])


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"k": "v"},
        {"k": "trace"},
        {TRACEPARENT: PARENT},
        {TRACEPARENT: PARENT, TRACESTATE: STATE, "k": "v"},
        {TRACEPARENT: PARENT, TRACESTATE: ""},
        {TRACEPARENT: f"cc-{TRACE}-{SPAN}-01-more"},
    ],
)
def test_good_headers_stay_the_very_bytes_that_they_were(headers: dict[str, str]) -> None:
    """TR1: the bus carries them as they are."""
    one = envelope(headers)
    before = one.options

    assert not drop_bad_trace(one)
    assert one.options is before


@pytest.mark.parametrize(
    ("headers", "kept"),
    [
        ({TRACEPARENT: "x"}, {}),
        ({TRACEPARENT: "x", TRACESTATE: STATE, "k": "v"}, {"k": "v"}),
        ({TRACESTATE: STATE}, {}),
        ({TRACEPARENT: PARENT, TRACESTATE: "a"}, {TRACEPARENT: PARENT}),
    ],
)
def test_what_is_malformed_is_taken_out_and_all_else_stays(headers: dict[str, str], kept: dict[str, str]) -> None:
    """Other options too."""
    one = envelope(headers, OTHER)

    assert drop_bad_trace(one)
    assert headers_of(one) == kept
    assert one.options is not None
    assert one.options[99] == OTHER[99]
    assert not drop_bad_trace(one)


def test_a_message_that_had_nothing_else_has_no_options_left() -> None:
    """As one that was published without."""
    one = envelope({TRACEPARENT: "x"})
    assert drop_bad_trace(one)
    assert one.options is None


@pytest.mark.parametrize("raw", [msgspec.msgpack.encode(["traceparent"]), b"\x81\xabtraceparent\xa1\xff"])
def test_headers_that_are_none_are_left_to_whoever_reads_them(raw: bytes) -> None:
    """They are told as bad headers there."""
    one = Envelope(0, 0, 0, 0, 0, b"", {OptionKey.HEADERS.value: msgspec.Raw(raw)})
    assert not drop_bad_trace(one)
