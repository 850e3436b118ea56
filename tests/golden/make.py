"""Writes the golden files: samples of every frame, byte by byte, for the present protocol versions.

Run ``python -m tests.golden.make`` only for a new protocol version or a new frame; the bytes of a frame that a
released version speaks never change. The script refuses to change one that is there; while a version is
unreleased, its file may be deleted first.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import msgpack
from msgspec import Raw, structs

from liminal_mesh.cluster import client_frames as client
from liminal_mesh.cluster import client_member_frames as members
from liminal_mesh.cluster import client_process_frames as people
from liminal_mesh.cluster import control_frames as control
from liminal_mesh.cluster import declare_frames as declare
from liminal_mesh.cluster import frames as link
from liminal_mesh.cluster import offer_frames as offer
from liminal_mesh.cluster import pressure_frames as pressure
from liminal_mesh.cluster import process_frames as process
from liminal_mesh.cluster import publish_frames as publishes
from liminal_mesh.cluster import swim_frames as swim
from liminal_mesh.cluster.codec import CLIENT_CODEC, LINK_CODEC, Codec
from liminal_mesh.cluster.envelope import Encoding, Envelope, OptionKey
from liminal_mesh.cluster.frame import Frame, late_defaults
from liminal_mesh.cluster.scopes import GROUP_SCOPE, SCOPES

HERE: Final = Path(__file__).parent
NONCE: Final = bytes(range(32))
MAC: Final = bytes(range(255, 223, -1))
BIG: Final = 2**64 - 1

PLAIN = Envelope(1, 1, 1_700_000_000_000_000, 3, Encoding.TEXT, "Grüße".encode())
FULL = Envelope(
    70_000,
    BIG,
    1_700_000_000_000_001,
    300,
    Encoding.MSGPACK,
    msgpack.packb({"a": [1, 2.5, None]}),
    {
        OptionKey.KEY: Raw(msgpack.packb("order-7")),
        OptionKey.DEADLINE: Raw(msgpack.packb(1_700_000_030_000_000)),
        OptionKey.HEADERS: Raw(msgpack.packb({"tenant": b"\x00\xff"})),
        4711: Raw(msgpack.packb([True, {"unknown": -1}])),
    },
)
HELLO = link.Hello(1, 1, "prod", "node-a", 1_700_000_000, NONCE[:8], NONCE, "10.0.0.1:7601", ["sync"])
NODE_B: Final = members.MemberEntry("node-b", 1_700_000_001, 0, "alive", True, False, "[::1]:7601")
ENTRIES: Final = [("news.de", [1, 200, 70_000]), ("sport.*", [BIG])]

LINK: Final[list[Frame]] = [
    HELLO,
    link.Welcome(HELLO, 1_700_000_000, 41, 42, MAC),
    link.Auth(0, 0, 0, MAC),
    link.Refusal("name_in_use", "another live node bears this name", 1_700_000_000, "10.0.0.2:7601"),
    link.Adopt(1_700_000_000, 43),
    link.AdoptAck(43),
    link.Redundant("the other connection is kept"),
    link.Ping(127),
    link.Pong(128),
    link.Sync(0, 1_700_000_000, 65_536, BIG),
    link.SnapBegin(1, 1_700_000_000, 5, 4, 2**63),
    link.SnapChunk(0, 1_700_000_000, 5, ENTRIES),
    link.SnapEnd(0, 1_700_000_000, 5),
    link.Range(0, 1_700_000_000, 6, 9, ENTRIES, [("old", [7])], 255),
    link.Ack(0, 1_700_000_000, 9),
    link.Heartbeat(9, 43, [link.Position(0, 9, 255)], [link.Peer("node-b", 1_700_000_001, "[::1]:7601")]),
    link.Drain("stopping"),
    link.Serves("10.0.0.2:7600"),
    publishes.Publish(1_700_000_000, "news.de", 17, [PLAIN, FULL]),
    publishes.Publish(1_700_000_000, "news.de", 17, [PLAIN, FULL], GROUP_SCOPE),
    publishes.Lost(1_700_000_000, "news.de", 3, 300),
    publishes.Lost(1_700_000_000, "news.de", 3, 300, GROUP_SCOPE),
    publishes.Heads(1_700_000_000, 9, [("news.de", 300), ("sport.a", 0)]),
    publishes.Heads(1_700_000_000, 9, [("news.de", 300), ("sport.a", 0)], GROUP_SCOPE),
    publishes.Receipt([publishes.ReceiptRun(17, 2, True), publishes.ReceiptRun(19, 1, False)]),
    publishes.Receipt(
        [publishes.ReceiptRun(17, 3, False)],
        [publishes.Suppressed(18, 70_000, False), publishes.Suppressed(19, BIG, True)],
    ),
    offer.Offer(1_700_000_000, "news.de", 9, [("readers", 0), ("archive", 2)], True, 17, [PLAIN, FULL]),
    offer.Taken("readers", 9, 2, True),
    offer.NoRoute("archive", 9, 2, offer.Reason.FULL),
    offer.NoRoute("archive", 11, 1, offer.Reason.SUPPRESSED, 70_000, True),
    declare.Declare(True, False, [declare.Declaration("orders", True, "0123456789abcdef")]),
    pressure.SlowDown([("orders", 2.5), ("news.de", 1.0)]),
    process.ProcessLink(7, 300, 70_000),
    process.ProcessUnlink(7, 300, 70_000, 0),
    process.ProcessExit(7, 300, "error: ValueError: Grüße"),
    process.ProcessMonitor(1, 300),
    process.ProcessDemonitor(1),
    process.ProcessDown(1, "noconnection"),
]

CLIENT: Final[list[Frame]] = [
    client.Connect(1, 1, "app", None),
    client.Connected(1, "0.1.0", "node-a", 1_700_000_000, 12, {"max_frame": 1_048_576, "inbox": 4096}, ["push"]),
    client.Disconnect("draining", "the node stops", ["10.0.0.2:7600"]),
    client.KeepAlive(1),
    client.KeepAliveReply(1),
    client.ClientPublish(1, 2, "news.de", "cluster", 5000, [PLAIN, FULL]),
    client.ClientPublish(1, 2, "news.de", "cluster", 5000, [PLAIN, FULL], GROUP_SCOPE),
    client.Confirm(1, 2, 1),
    client.ClientOutcome(1, 70_000, None, 2, {"node-b": "delivered"}, ("accept", 0, 1, 2, 3)),
    client.ClientOutcome(1, 70_000, False, 0, {"node-b": "delivered"}, ("accept", 0, 1, 2, 3), True),
    client.Failure(3, "Busy", msgpack.packb({"channel": "news.de"}), 2),
    client.Subscribe(4, 1, "news.>", 100, "cluster", 5000),
    client.Subscribe(4, 1, "news.>", 100, "cluster", 5000, "readers"),
    client.Subscribe(4, 1, "news.>", 100, "cluster", 5000, "readers", ["0123456789abcdef", "fedcba9876543210"]),
    client.Subscribed(4, 1, 13),
    client.Subscribed(4, 1, 13, "0123456789abcdef"),
    client.Unsubscribe(1),
    client.Credit(1, 64),
    client.Deliver(1, 1, "news.de", "node-b", 1_700_000_001, [FULL]),
    client.ClientGap(1, 2, "news.de", "node-b", 2, 9, 8, "overflow", 1795250293795),
    client.Ended(1, "Closed", msgpack.packb({})),
    client.Request(5, "members", msgpack.packb([])),
    client.Reply(5, msgpack.packb(["node-a"])),
    client.Anchored(1, "node-b", 1_700_000_001, [("news.de", 300)]),
    people.OpenMailbox(6, 2, 256, True),
    people.ExitProcess(2, "error: ValueError: Grüße"),
    people.LinkProcess(2, "node-b", 1_700_000_001, 300, True),
    people.Join(7, 2, "workers.de", "cluster", 5000),
    people.Leave(8, 2, "workers.de"),
    people.WatchGroup(9, 1, 3, "workers.de"),
    people.UnwatchGroup(1),
    people.GroupNews(
        1,
        0,
        [
            people.GroupChange(True, "node-b", 1_700_000_001, 300),
            people.GroupChange(False, "node-b", 1_700_000_001, 7, "leave"),
        ],
    ),
    people.MonitorProcess(10, 2, "node-b", 1_700_000_001, 300),
    people.Demonitor(2),
    people.ProcessGone(2, "noconnection"),
    members.WatchMembers(11, 3),
    members.UnwatchMembers(3),
    members.MemberNews(
        3,
        0,
        [
            members.MemberChange(None, NODE_B),
            members.MemberChange(NODE_B, structs.replace(NODE_B, incarnation=7, state="suspect", stalled=True)),
            members.MemberChange(NODE_B, None),
        ],
    ),
]

ALIVE = swim.MemberRecord("node-b", 1_700_000_000_000, 0, swim.RecordState.ALIVE, "10.0.0.2:7601")
SUSPECT = swim.MemberRecord("node-c", BIG, 300, swim.RecordState.SUSPECT, "[::1]:7601")
DEAD = swim.MemberRecord("node-d", 1, swim.INCARNATION_MAX, swim.RecordState.DEAD, "host.example:7601")
LEFT = swim.MemberRecord("node-e", 1, 127, swim.RecordState.LEFT, "10.0.0.5:7601")
RUMOURS: Final = [swim.Rumour(ALIVE), swim.Rumour(SUSPECT, "node-a"), swim.Rumour(DEAD), swim.Rumour(LEFT)]

CONTROL: Final[list[Frame]] = [
    link.Hello(1, 1, "prod", "node-a", 1_700_000_000, NONCE[:8], NONCE, "10.0.0.1:7601", ["control"]),
    link.Welcome(HELLO, 1_700_000_000, 41, 42, MAC),
    link.Auth(0, 0, 0, MAC),
    link.Refusal("stale-epoch", "a later run of this node is known", 1_700_000_000, ""),
    control.Greeting(ALIVE, BIG, 300, 1_700_000_000_000),
    swim.SwimPing(1, RUMOURS),
    swim.SwimAck(300, BIG, 70_000, RUMOURS[:1]),
    swim.SwimPingRequest(2, "node-c", RUMOURS[1:2]),
    swim.SwimNack(2),
    swim.SwimGossip(RUMOURS),
    swim.SwimView(
        "node-a", "node-c", [swim.Known("node-b", 1, 0, ALIVE.state), swim.Known("node-c", 2, 3, DEAD.state)]
    ),
    swim.SwimRecords([swim.AgedRecord(ALIVE), swim.AgedRecord(DEAD, 86_400)], ["node-e"]),
    swim.SwimLinkDown("node-b", BIG, True),
    swim.SwimLinkState("node-b", 1, False),
]

FILES: Final[dict[str, tuple[Codec, list[Frame]]]] = {
    f"link-v{link.LINK_PROTO[1]}.json": (LINK_CODEC, LINK),
    f"client-v{client.CLIENT_PROTO[1]}.json": (CLIENT_CODEC, CLIENT),
    f"control-v{link.LINK_PROTO[1]}.json": (control.CONTROL_CODEC, CONTROL),
}
"""Golden file to what it holds: the whole frame in hex, by :func:`name_of`."""


def name_of(frame: Frame) -> str:
    """Return the name of a sample: its class, and its late fields that are written, a scope by its name."""
    late = late_defaults(type(frame))
    written = [SCOPES[frame.scope] if name == "scope" else name for name in late if getattr(frame, name) != late[name]]  # type: ignore[attr-defined]
    return " ".join([type(frame).__name__, *written])


def main() -> None:
    """Add what is new to the golden files."""
    for name, (codec, frames) in FILES.items():
        path = HERE / name
        old: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        new = {name_of(frame): codec.encode(frame).hex() for frame in frames}
        changed = [frame for frame, wire in old.items() if new.get(frame) != wire]
        if changed:
            raise SystemExit(f"{name}: {', '.join(changed)} would change: that takes a new protocol version")
        path.write_text(json.dumps(new, indent=2) + "\n")


if __name__ == "__main__":
    main()
