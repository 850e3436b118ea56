"""One connection's authentication, for both sides, without any I/O.

::

    dialler                                   listener
       | Hello (who I am, my nonce)  ----------> |   wrong cluster, wrong version, myself: Refusal
       | <------ Welcome (its Hello, facts, MAC) |
       | Auth (facts, MAC)  -------------------> |   bad MAC: Refusal
       |                                         |
     done                                      done

The *facts* are what each side knows of its sessions with the other (:class:`Facts`); they travel with the
proofs, because only a Hello tells who the other is. Before a side is done, nothing of what the other said has
any effect, and what may be read is 4 KiB.

Each node holds a ring of keys. A listener proves the first of its ring, and the dialler accepts any key of its
own and answers with that same one. So a cookie is replaced without a stop in three rounds of restarts:
every node gets ``[old, new]``, then ``[new, old]``, then ``[new]``; in each round, whatever key a listener has
first is in everybody's ring.

The MACs cover the fields below by name and not the bytes as they came, so that a neighbouring version which
knows more fields computes the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple

import msgspec

from .auth import Role, mac, mac_matches
from .errors import ProtocolError
from .frames import Auth, Hello, LinkFrame, Refusal, Welcome
from .identity import NODE_NAME, NodeId, parse_address

__all__ = ["CONTROL", "NO_FACTS", "Facts", "Handshake", "HandshakeState", "check_form"]

CONTROL: Final = "control"
"""What a Hello has among its capabilities if its connection is to be a control link, and not a data link."""

HandshakeState = Literal["hello", "welcome", "auth", "done", "refused"]
"""The frame that is awaited, or how it ended."""


class Facts(NamedTuple):
    """What one side knows of its sessions with the other.

    ``decider_epoch`` and ``last_seen`` name the last one it saw, ``current`` the one that stands now; 0 is none.
    """

    decider_epoch: int
    last_seen: int
    current: int


NO_FACTS = Facts(0, 0, 0)
"""What is known of a peer that was never seen."""


class Handshake:
    """The authentication of one connection.

    Args:
        mine: our Hello, with a nonce that was never used before.
        keys: our ring, the one that we prove as a listener first.
        role: which side we are.
        facts: tells what we know of our sessions with a peer, by its Hello.
        certificate: the listener's certificate (DER) when the connection is protected by TLS.

    ``peer`` and ``facts`` are to be believed only when ``state`` is ``done``. When it is ``refused``,
    ``refusal`` says why and ``refused_by_us`` by whom.
    """

    def __init__(
        self,
        mine: Hello,
        keys: Sequence[bytes],
        role: Role,
        facts: Callable[[Hello], Facts],
        certificate: bytes = b"",
    ) -> None:
        assert keys, "a ring without keys would accept nobody"
        self.role: Role = role
        self.state: HandshakeState = "welcome" if role == "dialler" else "hello"
        self.peer: Hello | None = None
        self.facts = NO_FACTS
        self.refusal: Refusal | None = None
        self.refused_by_us = False
        self._mine = mine
        self._keys = tuple(keys)
        self._facts = facts
        self._certificate = certificate
        self._transcript = _told(mine) if role == "dialler" else b""

    @property
    def node(self) -> NodeId:
        """Who the peer is, or says it is."""
        assert self.peer is not None
        return NodeId(self.peer.name, self.peer.epoch)

    def open(self) -> list[LinkFrame]:
        """Return what our side says unasked: the dialler's Hello."""
        return [self._mine] if self.role == "dialler" else []

    def received(self, frame: LinkFrame) -> list[LinkFrame]:
        """Take the peer's next frame and return what to answer; a Refusal is the last thing to send.

        Raises:
            ProtocolError: this frame is not due now, or holds what no node would say.
        """
        match frame, self.state:
            case Hello(), "hello":
                return self._welcome(frame)
            case Welcome(), "welcome":
                return self._authenticate(frame)
            case Auth(), "auth":
                return self._verify(frame)
            case Refusal(), "welcome" | "auth":
                self.state, self.refusal = "refused", frame
                return []
        raise ProtocolError(f"a {type(frame).__name__} frame, where the handshake awaits {self.state!r}")

    def _welcome(self, hello: Hello) -> list[LinkFrame]:
        refusal = self._check(hello)
        if refusal is not None:
            return self._refuse(refusal)
        facts = self._facts(hello)
        self._transcript = _told(hello) + _told(self._mine) + _pack(facts)
        proof = mac(self._keys[0], "listener", self._transcript, self._certificate)
        self._transcript += proof
        self.state = "auth"
        return [Welcome(self._mine, *facts, proof)]

    def _authenticate(self, welcome: Welcome) -> list[LinkFrame]:
        refusal = self._check(welcome.hello)
        if refusal is not None:
            return self._refuse(refusal)
        theirs = Facts(welcome.decider_epoch, welcome.last_seen, welcome.current)
        self._transcript += _told(welcome.hello) + _pack(theirs)
        key = self._key_of(welcome.mac)
        if key is None:
            return self._refuse(_BAD_COOKIE)
        self.state, self.facts = "done", theirs
        facts = self._facts(welcome.hello)
        proof = mac(key, "dialler", self._transcript + welcome.mac + _pack(facts), self._certificate)
        return [Auth(*facts, proof)]

    def _verify(self, auth: Auth) -> list[LinkFrame]:
        theirs = Facts(auth.decider_epoch, auth.last_seen, auth.current)
        transcript = self._transcript + _pack(theirs)
        if not mac_matches(auth.mac, self._keys[0], "dialler", transcript, self._certificate):
            return self._refuse(_BAD_COOKIE)
        self.state, self.facts = "done", theirs
        return []

    def _key_of(self, proof: bytes) -> bytes | None:
        """Return the key of our ring with which the listener proved itself; each is tried, whatever the first gave."""
        fitting = [
            key for key in self._keys if mac_matches(proof, key, "listener", self._transcript, self._certificate)
        ]
        return fitting[0] if fitting else None

    def _check(self, hello: Hello) -> Refusal | None:
        """Keep what the peer says of itself, and say why it is not for us, if so."""
        mine, self.peer = self._mine, hello
        if max(hello.proto_min, mine.proto_min) > min(hello.proto_max, mine.proto_max):
            return Refusal(
                "protocol",
                f"link protocols {hello.proto_min} to {hello.proto_max} were offered, "
                f"and {mine.proto_min} to {mine.proto_max} are spoken here",
            )
        if hello.cluster != mine.cluster:
            return Refusal("cluster", f"this node is of another cluster than {hello.cluster!r}")
        if (CONTROL in hello.capabilities) != (CONTROL in mine.capabilities):
            return Refusal("protocol", "one side means a control link, and the other a data link")
        if (hello.name, hello.run) == (mine.name, mine.run):
            return Refusal("self", "this is the very node that dialled")
        check_form(hello.name, hello.address)
        return None

    def _refuse(self, refusal: Refusal) -> list[LinkFrame]:
        self.state, self.refusal, self.refused_by_us = "refused", refusal, True
        return [refusal]


_BAD_COOKIE = Refusal("cookie", "the cookies of the two nodes differ")


def check_form(name: str, address: str) -> None:
    """Refuse a name and an address that could be nobody's before they get anywhere.

    Raises:
        ProtocolError: one of them has not the form of such.
    """
    if not NODE_NAME.match(name):
        raise ProtocolError("a node with an impossible name")
    try:
        parse_address(address)
    except ValueError as error:
        raise ProtocolError("a node with an impossible address") from error


def _told(hello: Hello) -> bytes:
    """Return the fields of a Hello that the proofs cover: all that version 1 has."""
    return _pack(
        (
            hello.proto_min,
            hello.proto_max,
            hello.cluster,
            hello.name,
            hello.epoch,
            hello.run,
            hello.nonce,
            hello.address,
            hello.capabilities,
        )
    )


def _pack(fields: object) -> bytes:
    return msgspec.msgpack.encode(fields)
