"""The tables of frames: who may send what, in which state, on which lane."""

from __future__ import annotations

import pytest
from msgspec import inspect

from liminal_mesh.cluster import (
    client_frames,
    client_member_frames,
    client_process_frames,
    declare_frames,
    frames,
    offer_frames,
    pressure_frames,
    process_frames,
    publish_frames,
)
from liminal_mesh.cluster.client_frames import CLIENT_FRAMES, CLIENT_PROTO, ClientFrame
from liminal_mesh.cluster.frame import Frame, Row
from liminal_mesh.cluster.frames import LINK_FRAMES, LINK_PROTO, LinkFrame
from liminal_mesh.cluster.process_frames import ProcessFrame

LINK_ROWS = [pytest.param(kind, row, id=row.kind.__name__) for kind, row in LINK_FRAMES.items()]
CLIENT_ROWS = [pytest.param(kind, row, id=row.kind.__name__) for kind, row in CLIENT_FRAMES.items()]


def _struct(kind: type[Frame]) -> inspect.StructType:
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    return info


def test_no_type_byte_and_no_frame_is_in_both_tables() -> None:
    """A peer's parser knows no client frame, and the reverse."""
    assert not LINK_FRAMES.keys() & CLIENT_FRAMES.keys()
    assert not {row.kind for row in LINK_FRAMES.values()} & {row.kind for row in CLIENT_FRAMES.values()}


def test_every_frame_class_has_exactly_one_row() -> None:
    """A frame that is declared can be sent, and has one type byte."""
    links = (declare_frames, frames, offer_frames, pressure_frames, process_frames, publish_frames)
    clients = (client_frames, client_member_frames, client_process_frames)
    for modules, root, table in ((links, LinkFrame, LINK_FRAMES), (clients, ClientFrame, CLIENT_FRAMES)):
        public = [getattr(module, name) for module in modules for name in module.__all__]
        roots = {LinkFrame, ProcessFrame, ClientFrame}
        declared = [kind for kind in public if isinstance(kind, type) and issubclass(kind, root) and kind not in roots]
        rows = [row.kind for row in table.values()]
        assert sorted(kind.__name__ for kind in rows) == sorted(kind.__name__ for kind in declared)


@pytest.mark.parametrize(("kind", "row"), LINK_ROWS)
def test_a_link_row_names_known_sides_states_and_lanes(kind: int, row: Row) -> None:
    """A row that is misspelt would allow nothing, or be checked nowhere."""
    assert 0 < kind < 0x40
    assert issubclass(row.kind, LinkFrame)
    assert row.senders in {"dialler", "listener", "decider", "other", "any"}
    assert set(row.states) <= {"hello", "welcome", "auth", "adopting", "session"}
    assert row.states
    assert row.lane in {"control", "data"}


@pytest.mark.parametrize(("kind", "row"), CLIENT_ROWS)
def test_a_client_row_names_known_sides_states_and_lanes(kind: int, row: Row) -> None:
    """A row that is misspelt would allow nothing, or be checked nowhere."""
    assert 0x40 <= kind <= 0xFF
    assert issubclass(row.kind, ClientFrame)
    assert row.senders in {"node", "client", "any"}
    assert set(row.states) <= {"connect", "open"}
    assert row.states
    assert row.lane in {"control", "data"}


@pytest.mark.parametrize(("_kind", "row"), LINK_ROWS + CLIENT_ROWS)
def test_every_field_that_can_grow_has_a_bound_but_opaque_bytes(_kind: int, row: Row) -> None:
    """Text, arrays and maps are bounded by their type; bytes by the frame they come in."""

    def check(info: inspect.Type, path: str) -> None:
        match info:
            case inspect.StrType(max_length=longest):
                assert longest is not None, path
            case inspect.ListType(item_type=item, max_length=longest):
                assert longest is not None, path
                assert longest <= 1024, path
                check(item, path + "[]")
            case inspect.DictType(key_type=key, value_type=value, max_length=longest):
                assert longest is not None, path
                check(key, path + ".key")
                check(value, path + ".value")
            case inspect.TupleType(item_types=items):
                for item in items:
                    check(item, path + "()")
            case inspect.UnionType(types=types):
                for one in types:
                    check(one, path)
            case inspect.StructType(fields=fields):
                for field in fields:
                    check(field.type, f"{path}.{field.name}")
            case inspect.IntType(ge=low):
                assert low is not None or path.endswith(".key"), path

    check(_struct(row.kind), row.kind.__name__)


@pytest.mark.parametrize(("_kind", "row"), LINK_ROWS + CLIENT_ROWS)
def test_frames_are_arrays_of_at_most_fifteen_fields(_kind: int, row: Row) -> None:
    """A batch's head is one byte, and no field's name is on the wire."""
    info = _struct(row.kind)
    assert info.array_like
    assert not info.forbid_unknown_fields
    assert 1 <= len(info.fields) <= 15


def test_before_the_handshake_only_a_hello_or_a_connect_may_come_in() -> None:
    """An unauthenticated stranger reaches one decoder."""
    strangers = [row.kind.__name__ for row in LINK_FRAMES.values() if "hello" in row.states]
    assert strangers == ["Hello"]
    clients = [row for row in CLIENT_FRAMES.values() if "connect" in row.states and row.senders == "client"]
    assert [row.kind.__name__ for row in clients] == ["Connect"]


def test_the_version_ranges_are_ranges() -> None:
    """Lowest, then highest."""
    for low, high in (LINK_PROTO, CLIENT_PROTO):
        assert 1 <= low <= high
