"""What a client remembers of nodes that it has heard of, where more come and go than any mesh has at once."""

from __future__ import annotations

from liminal_mesh.cluster import Anchored, Deliver, Encoding, Envelope, NodeId
from liminal_mesh.node.client_feed import ORIGINS_MAX, ClientFeed
from liminal_mesh.node.inbox import Inbox
from liminal_mesh.node.values import Gap


def test_who_was_not_heard_for_long_is_forgotten_and_who_was_is_not() -> None:
    """Where a node stands again is then news of a new one: nothing is told as missed of a stream that nobody knows."""
    inbox = Inbox(16, 16, 1 << 20, "drop-newest")
    feed = ClientFeed(1, inbox, lambda: None, lambda _: None)
    gone, living = NodeId("gone", 1), NodeId("living", 1)

    def anchor(origin: NodeId, head: int) -> None:
        feed.anchored(Anchored(1, *origin, [("x", head)]))

    anchor(living, 5)
    anchor(gone, 5)
    for number in range(ORIGINS_MAX - 1):
        anchor(NodeId(f"pod-{number}", 1), 0)
        if number == ORIGINS_MAX // 2:
            feed.deliver(Deliver(1, 1, "x", *living, [Envelope(6, 6, 1, 1, Encoding.RAW, b"")]))
    feed.begin()
    anchor(gone, 9)
    anchor(living, 9)

    gaps = []
    while (entry := inbox.take(1)) is not None:
        gaps += [entry] if isinstance(entry, Gap) else []
    assert gaps == [Gap("x", "living", 7, 9, 3, "link", 1)]
