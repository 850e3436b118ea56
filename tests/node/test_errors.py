"""Errors of the bus, and every error's way over a connection and back."""

import copy
import pickle
import traceback
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liminal_mesh.cluster import AddressInUse, CookieRejected, NameInUse, ProtocolError, StaleEpoch
from liminal_mesh.node import errors
from liminal_mesh.node.error_wire import from_wire, to_wire
from liminal_mesh.node.errors import (
    AckRefused,
    Busy,
    ChannelClosed,
    ChannelExists,
    ChannelFailed,
    ChannelNotConfigured,
    ConfigError,
    DeadlineExceeded,
    Draining,
    InFlight,
    KeyReused,
    LimitExceeded,
    NoConnection,
    NoProcess,
    NotAuthorized,
    OutcomeUnknown,
    Problem,
    Rejected,
    SchemaIncompatible,
    SchemaRejected,
)
from liminal_mesh.node.values import Pressure
from liminal_mesh.storage import Failed, LiminalError, Refused, Unknown

_WORDS = st.text("abc\x00é", max_size=4)

EVERY_ERROR = [
    AddressInUse("client", "127.0.0.1:7600"),
    AckRefused("ticks", "local"),
    Busy(0.05, "lane to b"),
    ChannelClosed("orders"),
    ChannelExists("orders"),
    ChannelFailed("orders", "its file is gone"),
    ChannelNotConfigured("ordres", "orders"),
    ConfigError([Problem("name", "is too long", "node.toml:1"), Problem("http.listen", "is no address")]),
    CookieRejected("is well known"),
    DeadlineExceeded("the receipts", "a", 2, ["b", "c"]),
    DeadlineExceeded("the connection", sent=False),
    Draining(["b:7600"]),
    InFlight(0.05, "orders", "order-7"),
    KeyReused("orders", "order-7"),
    LimitExceeded("connections", 1024),
    NameInUse("a", "10.0.0.1:7601"),
    NoConnection("b", "end of stream"),
    NoProcess("b.1.7", "killed"),
    NotAuthorized("publish", "orders"),
    OutcomeUnknown("the connection was lost"),
    ProtocolError("bad frame"),
    Rejected("a subscription of 'orders' is full", Pressure("reject", 8, 8, 16, 16)),
    SchemaIncompatible(["0a"], ["0b", "0c"], ["/id: is narrowed"]),
    SchemaRejected("/items/0/id", '"x" is not of type "integer"'),
    StaleEpoch("a", 1, 2),
]


def over_the_wire(error: LiminalError) -> LiminalError:
    name, fields = to_wire(error)
    return from_wire(name, msgspec.msgpack.decode(msgspec.msgpack.encode(fields)))


@pytest.mark.parametrize("error", EVERY_ERROR, ids=lambda error: type(error).__name__)
def test_an_error_crosses_a_connection_with_nothing_lost(error: LiminalError) -> None:
    """Class, kind, fields and text are the same on the other side."""
    arrived = over_the_wire(error)

    assert type(error) is type(arrived)
    assert error.fields() == arrived.fields()
    assert str(error) == str(arrived)


@pytest.mark.parametrize("error", EVERY_ERROR, ids=lambda error: type(error).__name__)
def test_an_error_is_of_exactly_one_kind_and_can_be_copied(error: LiminalError) -> None:
    """A caller can always tell whether to mend, to give up, or to retry with the same key."""
    assert sum(isinstance(error, kind) for kind in (Refused, Failed, Unknown)) == 1
    assert copy.copy(error).fields() == error.fields()
    assert pickle.loads(pickle.dumps(error)).fields() == error.fields()


@pytest.mark.parametrize("sent", [True, False])
def test_a_traceback_names_a_class_that_can_be_caught(sent: bool) -> None:
    """Of a deadline, too, which is of one of two kinds."""
    error = DeadlineExceeded("publish", "a", sent=sent)
    assert traceback.format_exception_only(error)[0].startswith(
        "liminal_mesh.node.errors.DeadlineExceeded: time was up"
    )
    assert isinstance(copy.copy(error), Unknown if sent else Refused)


def test_every_error_of_the_module_is_tried_above() -> None:
    """A new error cannot be forgotten in the table of what may cross a connection."""
    public = {getattr(errors, name) for name in errors.__all__}
    leaves = {kind for kind in public if isinstance(kind, type) and issubclass(kind, LiminalError)}

    assert leaves <= {kind for error in EVERY_ERROR for kind in type(error).__mro__}


def test_a_deadline_is_refused_only_when_nothing_was_sent() -> None:
    """The kind follows the fact."""
    assert isinstance(DeadlineExceeded("connect", sent=False), Refused)
    assert isinstance(DeadlineExceeded("connect", "a", 1, (), False), Refused)
    assert isinstance(DeadlineExceeded("receipts"), Unknown)


def test_an_unknown_error_arrives_as_failed_with_its_facts() -> None:
    """A newer node may raise what this client has no class for."""
    arrived = from_wire("QuotaSpent", {"until": 12})

    assert type(arrived) is Failed
    assert str(arrived) == "QuotaSpent(until=12)"


def test_an_error_without_a_class_of_its_own_keeps_its_kind_and_text() -> None:
    """A plain refusal stays a refusal."""
    arrived = over_the_wire(Refused("not today"))

    assert type(arrived) is Refused
    assert str(arrived) == "not today"


def test_fields_of_a_newer_version_are_left_out() -> None:
    """A known error with one more field is still that error."""
    assert type(from_wire("ChannelExists", {"channel": "orders", "since": 5})) is ChannelExists


@given(
    st.sampled_from(sorted({type(error).__name__ for error in EVERY_ERROR} | {"Failed", "Nonsense"})),
    st.dictionaries(
        st.sampled_from(["channel", "reason", "problems", "pressure", "missing", "limit", "text"]),
        st.none() | st.integers() | _WORDS | st.lists(_WORDS) | st.dictionaries(_WORDS, _WORDS),
    ),
)
def test_whatever_arrives_becomes_an_error_and_raises_none(name: str, fields: dict[str, Any]) -> None:
    """Fields come from another machine: they are checked like any input."""
    assert isinstance(from_wire(name, fields), LiminalError)


def test_a_problem_tells_its_place_and_its_path() -> None:
    """What is wrong is found without searching."""
    assert str(Problem("http.listen", "is no address", "node.toml:7")) == "node.toml:7: http.listen: is no address"
