"""The authentication of a connection: two cores, joined by the shipped codec."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import pytest

from liminal_mesh.cluster.auth import derive_key, mac
from liminal_mesh.cluster.buffer import FrameBuffer
from liminal_mesh.cluster.codec import LINK_CODEC
from liminal_mesh.cluster.errors import ProtocolError
from liminal_mesh.cluster.frames import Auth, Hello, LinkFrame, Ping, Refusal, Welcome
from liminal_mesh.cluster.handshake import Facts, Handshake

OLD, NEW, OTHER = (derive_key(cookie * 32, "test") for cookie in (b"o", b"n", b"x"))


def hello(node: str, **fields: object) -> Hello:
    """Make a Hello of ``node``."""
    mine = Hello(1, 1, "test", node, 7, node.encode() * 8, node.encode() * 32, f"{node}:7601")
    return msgspec.structs.replace(mine, **fields)


def over_the_wire(frame: LinkFrame) -> LinkFrame:
    """Encode and decode a frame as a connection does."""
    ((kind, body),) = FrameBuffer(4096).feed(LINK_CODEC.encode(frame))
    decoded = LINK_CODEC.decode(kind, body)
    assert isinstance(decoded, LinkFrame)
    return decoded


@dataclass
class Pair:
    """A dialler and a listener, and what went between them."""

    dialler: Hello = field(default_factory=lambda: hello("a"))
    listener: Hello = field(default_factory=lambda: hello("b"))
    dialler_keys: tuple[bytes, ...] = (OLD,)
    listener_keys: tuple[bytes, ...] = (OLD,)

    def __post_init__(self) -> None:
        """Make the two cores."""
        self.a = Handshake(self.dialler, self.dialler_keys, "dialler", lambda peer: Facts(peer.epoch, 2, 0))
        self.b = Handshake(self.listener, self.listener_keys, "listener", lambda peer: Facts(peer.epoch, 3, 4))

    def run(self, **altered: dict[str, object]) -> Pair:
        """Pass frames to and fro until both are quiet; ``altered`` names fields to change on the way, by frame."""
        waiting = [(self.b, frame) for frame in self.a.open()]
        while waiting:
            target, frame = waiting.pop(0)
            if target.state == "done":
                continue  # what follows is the peering's business
            frame = msgspec.structs.replace(frame, **altered.get(type(frame).__name__, {}))
            other = self.b if target is self.a else self.a
            waiting += [(other, answer) for answer in target.received(over_the_wire(frame))]
        return self

    def codes(self) -> tuple[str, str]:
        """Return with which code each side was refused, or its state."""
        return tuple(side.refusal.code if side.refusal else side.state for side in (self.a, self.b))  # type: ignore[return-value]


def test_both_sides_are_done_and_know_each_other() -> None:
    """Each learns who the other is and what it knows of their sessions."""
    pair = Pair().run()

    assert pair.codes() == ("done", "done")
    assert (pair.a.node.name, pair.b.node.name) == ("b", "a")
    assert (pair.a.facts, pair.b.facts) == (Facts(7, 3, 4), Facts(7, 2, 0))


@pytest.mark.parametrize(
    ("dialler", "listener", "code"),
    [
        (hello("a"), hello("b", cluster="other"), "cluster"),
        (hello("a"), hello("b", proto_min=2, proto_max=3), "protocol"),
        (hello("a", proto_min=2, proto_max=3), hello("b"), "protocol"),
        (hello("a"), hello("a", nonce=b"!" * 32), "self"),
    ],
)
def test_a_node_that_is_not_for_us_is_refused_in_one_round_trip(dialler: Hello, listener: Hello, code: str) -> None:
    """Both sides know the reason, and nobody has sent a proof."""
    pair = Pair(dialler, listener).run()

    assert pair.codes() == (code, code)
    assert (pair.a.refused_by_us, pair.b.refused_by_us) == (False, True)


def test_a_range_of_versions_needs_only_to_overlap() -> None:
    """Neighbouring versions talk."""
    assert Pair(hello("a", proto_max=2), hello("b", proto_max=3)).run().codes() == ("done", "done")


def test_a_namesake_is_not_ourselves() -> None:
    """The same name with another run is another process, which the mesh judges later."""
    assert Pair(hello("a"), hello("a", run=b"another!", nonce=b"!" * 32)).run().codes() == ("done", "done")


def test_another_cookie_is_refused_on_both_sides() -> None:
    """The dialler finds out first, and tells the listener."""
    pair = Pair(dialler_keys=(OTHER,)).run()

    assert pair.codes() == ("cookie", "cookie")
    assert pair.a.refused_by_us


def test_a_dialler_that_proves_nothing_is_refused() -> None:
    """A listener believes only a MAC."""
    pair = Pair()
    (welcome,) = pair.b.received(hello("a"))
    assert isinstance(welcome, Welcome)

    (refusal,) = pair.b.received(Auth(0, 0, 0, welcome.mac))

    assert isinstance(refusal, Refusal)
    assert (refusal.code, pair.b.state) == ("cookie", "refused")


def test_a_proof_sent_back_is_refused() -> None:
    """R11's neighbour: whoever reflects our own Hello or our own MAC gets nowhere, in either role."""
    mine = hello("a")
    dialler = Handshake(mine, [OLD], "dialler", lambda _: Facts(0, 0, 0))
    listener = Handshake(mine, [OLD], "listener", lambda _: Facts(0, 0, 0))

    (answer,) = listener.received(mine)
    assert isinstance(answer, Refusal)

    said = msgspec.msgpack.encode("said")
    assert mac(OLD, "dialler", said) != mac(OLD, "listener", said)
    (answer,) = dialler.received(Welcome(hello("b"), 0, 0, 0, mac(OLD, "dialler", said)))
    assert isinstance(answer, Refusal)


@pytest.mark.parametrize(
    ("frame", "changes"),
    [
        ("Hello", {"proto_max": 2}),
        ("Hello", {"name": "c"}),
        ("Hello", {"epoch": 8}),
        ("Hello", {"run": b"12345678"}),
        ("Hello", {"nonce": b"z" * 32}),
        ("Hello", {"address": "c:7601"}),
        ("Hello", {"capabilities": ["x"]}),
        ("Welcome", {"hello": hello("b", proto_max=2)}),
        ("Welcome", {"hello": hello("c")}),
        ("Welcome", {"hello": hello("b", epoch=8)}),
        ("Welcome", {"hello": hello("b", run=b"12345678")}),
        ("Welcome", {"hello": hello("b", nonce=b"z" * 32)}),
        ("Welcome", {"hello": hello("b", address="c:7601")}),
        ("Welcome", {"hello": hello("b", capabilities=["x"])}),
        ("Welcome", {"decider_epoch": 1}),
        ("Welcome", {"last_seen": 1}),
        ("Welcome", {"current": 1}),
        ("Welcome", {"mac": bytes(32)}),
        ("Auth", {"decider_epoch": 1}),
        ("Auth", {"last_seen": 1}),
        ("Auth", {"current": 1}),
        ("Auth", {"mac": bytes(32)}),
    ],
)
def test_whatever_is_altered_on_the_way_is_noticed(frame: str, changes: dict[str, object]) -> None:
    """Every field of the three frames is covered by a MAC."""
    pair = Pair().run(**{frame: changes})

    assert "cookie" in pair.codes()
    assert pair.b.state == "refused"


@pytest.mark.parametrize("dialler_ring", [(OLD, NEW), (NEW, OLD)])
@pytest.mark.parametrize("listener_ring", [(OLD, NEW), (NEW, OLD)])
def test_a_cookie_is_replaced_without_a_stop(dialler_ring: tuple[bytes, ...], listener_ring: tuple[bytes, ...]) -> None:
    """Whatever key of two a listener has first, the dialler answers with the same."""
    assert Pair(dialler_keys=dialler_ring, listener_keys=listener_ring).run().codes() == ("done", "done")


@pytest.mark.parametrize(
    ("dialler_ring", "listener_ring"), [((OLD,), (OLD, NEW)), ((OLD, NEW), (OLD,)), ((NEW,), (NEW, OLD))]
)
def test_neighbouring_rounds_of_a_rotation_talk(
    dialler_ring: tuple[bytes, ...], listener_ring: tuple[bytes, ...]
) -> None:
    """A node that was restarted talks with one that was not yet."""
    assert Pair(dialler_keys=dialler_ring, listener_keys=listener_ring).run().codes() == ("done", "done")


@pytest.mark.parametrize("changes", [{"name": "a.b"}, {"name": ""}, {"address": "nowhere"}])
def test_impossible_names_and_addresses_break_the_protocol(changes: dict[str, object]) -> None:
    """They get nowhere near a log or a table."""
    with pytest.raises(ProtocolError):
        Pair().b.received(hello("a", **changes))


def test_a_frame_that_is_not_due_breaks_the_protocol() -> None:
    """In each state exactly one kind of frame goes on."""
    pair = Pair()
    for side, frame in ((pair.a, hello("b")), (pair.b, Auth(0, 0, 0, bytes(32))), (pair.b, Ping(1))):
        with pytest.raises(ProtocolError):
            side.received(frame)
    pair.run()
    with pytest.raises(ProtocolError):
        pair.b.received(hello("a"))
