"""What may arrive where, written by hand from the protocol's rules and not read from the tables of frames.

The rules: before authentication nothing may arrive but the frame that is awaited; after it a frame of an unknown type
is skipped by its length and counted, and a known one that is not listed here closes the connection; on a connection
that is over nothing has any effect. So a frame that is new in the tables has to be closed upon everywhere, until
somebody lists it where it is due.
"""

from __future__ import annotations

from typing import Final

__all__ = ["BEFORE", "DUE", "ENDING", "FROM_CLIENTS", "FROM_MEMBERS", "FROM_PEERS", "OVER", "rule"]

FROM_CLIENTS: Final = frozenset(
    {
        "ClientPublish", "Credit", "Demonitor", "Disconnect", "ExitProcess", "Join", "KeepAlive", "Leave",
        "LinkProcess", "MonitorProcess", "OpenMailbox", "Request", "Subscribe", "UnwatchGroup", "UnwatchMembers",
        "Unsubscribe", "WatchGroup", "WatchMembers",
    }
)  # fmt: skip
"""What a client that was let in may send at any time."""

FROM_PEERS: Final = frozenset(
    {
        "Ack", "Declare", "Drain", "Heads", "Heartbeat", "Lost", "Offer", "Ping", "Pong", "ProcessDemonitor",
        "ProcessDown", "ProcessExit", "ProcessLink", "ProcessMonitor", "ProcessUnlink", "Publish", "Range", "Receipt",
        "Refusal", "Serves", "SlowDown", "SnapBegin", "SnapChunk", "SnapEnd", "Sync",
    }
)  # fmt: skip
"""What a peer with a session may send at any time, whoever of the two decides."""

FROM_MEMBERS: Final = frozenset(
    {
        "Refusal", "SwimAck", "SwimGossip", "SwimLinkDown", "SwimLinkState", "SwimNack", "SwimPing", "SwimPingRequest",
        "SwimRecords", "SwimView",
    }
)  # fmt: skip
"""What a member may send over its control link at any time."""

DUE: Final[dict[str, frozenset[str]]] = {
    "client, not greeted": frozenset({"Connect", "Disconnect"}),
    "client, open": FROM_CLIENTS,
    "client, while the node drains": FROM_CLIENTS,
    "client, told that the node leaves": FROM_CLIENTS,
    "client, refused": frozenset(),
    "client, gone by its own word": frozenset(),
    "mesh, first frame": frozenset({"Hello"}),
    "data, welcomed": frozenset({"Auth", "Refusal"}),
    "data, dialled": frozenset({"Welcome", "Refusal"}),
    "data, offered a session": frozenset({"AdoptAck", "Refusal"}),
    "data, awaited to offer one": frozenset({"Adopt", "Redundant", "Refusal"}),
    "data, session that the node decided on": FROM_PEERS,
    "data, session that the peer decided on": FROM_PEERS | {"Redundant"},
    "data, session with an offer that is not answered": FROM_PEERS | {"Taken", "NoRoute"},
    "data, after the peer's goodbye": FROM_PEERS,
    "data, while the node drains": FROM_PEERS,
    "data, closed by the node": frozenset(),
    "control, welcomed": frozenset({"Auth", "Refusal"}),
    "control, dialled": frozenset({"Welcome", "Refusal"}),
    "control, awaited to greet": frozenset({"Greeting", "Refusal"}),
    "control, greeted": frozenset({"Greeting", "Refusal"}),
    "control, link that the node decided on": FROM_MEMBERS,
    "control, link that the peer decided on": FROM_MEMBERS,
    "control, while the node drains": FROM_MEMBERS,
    "control, closed by the node": frozenset(),
}
"""The states of connections, and what may arrive in each."""

BEFORE: Final = frozenset(
    {
        "client, not greeted", "mesh, first frame", "data, welcomed", "data, dialled", "control, welcomed",
        "control, dialled",
    }
)  # fmt: skip
"""The states before the other side has proved itself."""

OVER: Final = frozenset(
    {"client, refused", "client, gone by its own word", "data, closed by the node", "control, closed by the node"}
)
"""The states in which the connection has ended, and bytes are still on their way."""

ENDING: Final = frozenset({"Disconnect", "Refusal", "Redundant"})
"""What ends a connection when it is due: its sender says goodbye."""


def rule(place: str, name: str) -> str:
    """Return the answer to a frame by its class's name ("" when its type is unknown).

    It ``stands``, is ``skipped`` and counted, is ``refused`` (a protocol error, told, and the end), is the ``end`` that
    the sender wants, or has ``no effect`` any more.
    """
    if place in OVER:
        return "no effect"
    if name in DUE[place]:
        return "end" if name in ENDING else "stands"
    return "skipped" if not name and place not in BEFORE else "refused"
