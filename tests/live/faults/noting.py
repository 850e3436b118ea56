"""What a recorded node sees of others, noted where the mesh hands it over."""

from __future__ import annotations

from liminal_mesh.cluster import CHANNEL_SCOPE, BusFrame, Eagerness, Envelope, Offer, Publish
from liminal_mesh.cluster.link import Link
from liminal_mesh.cluster.membership import MemberChanged
from liminal_mesh.node.hub import Hub
from liminal_mesh.node.payload import RAW, decode_payload
from tests.history import events
from tests.history.payloads import read
from tests.history.recorder import Recorder
from tests.history.records import Key
from tests.history.versions import CONTENT

__all__ = ["note_links", "note_members"]


def note_members(recorder: Recorder) -> None:
    """Write down what the node holds of the others, as it changes."""
    member_changed = Hub._member_changed

    def noted(self: Hub, change: MemberChanged) -> None:
        member_changed(self, change)
        member, former = change.after or change.before, change.before
        assert member is not None
        state = change.after.state if change.after is not None else ""
        same = former is not None and (former.epoch, former.incarnation, former.state) == (
            member.epoch, member.incarnation, state,
        )  # fmt: skip
        if member.name != self.me.name and not same:
            recorder.write(
                events.Member(
                    t_mono_ns=recorder.now(), proc=recorder.proc, node=self.me.name, epoch=self.me.epoch,
                    member=member.name, member_epoch=member.epoch, incarnation=member.incarnation, state=state,
                )
            )  # fmt: skip

    setattr(Hub, "_member_changed", noted)  # noqa: B010 - of this process alone


def note_links(recorder: Recorder) -> None:
    """Write down sessions with peers, and the channels' publishes that come over them."""
    link_up, link_down, link_frame = Hub.link_up, Hub.link_down, Hub.link_frame

    def note(hub: Hub, link: Link, up: bool) -> None:
        recorder.write(
            events.Link(
                t_mono_ns=recorder.now(), proc=recorder.proc, node=hub.me.name, epoch=hub.me.epoch,
                peer=link.peer.name, peer_epoch=link.peer.epoch, up=up,
            )
        )  # fmt: skip

    def noted_up(self: Hub, link: Link) -> None:
        link_up(self, link)
        note(self, link, up=True)

    def noted_down(self: Hub, link: Link, reason: str) -> None:
        note(self, link, up=False)
        link_down(self, link, reason)

    def noted_publishes(hub: Hub, link: Link, frame: Publish | Offer, group: str = "", *, spare: bool = False) -> None:
        recorder.write(
            events.Arrive(
                t_mono_ns=recorder.now(), proc=recorder.proc, node=hub.me.name, epoch=hub.me.epoch,
                peer=link.peer.name, peer_epoch=link.peer.epoch, channel=frame.channel,
                keys=[_key(item) for item in frame.items], group=group, spare=spare,
            )
        )  # fmt: skip

    def noted_frame(self: Hub, link: Link, frame: BusFrame) -> None:
        if isinstance(frame, Offer):
            if frame.plain:
                noted_publishes(self, link, frame)
            for group, eagerness in frame.claims:
                noted_publishes(self, link, frame, group, spare=eagerness == Eagerness.CREDIT)
        elif isinstance(frame, Publish) and frame.scope == CHANNEL_SCOPE:
            noted_publishes(self, link, frame)
        link_frame(self, link, frame)

    setattr(Hub, "link_up", noted_up)  # noqa: B010 - of this process alone
    setattr(Hub, "link_down", noted_down)  # noqa: B010
    setattr(Hub, "link_frame", noted_frame)  # noqa: B010


def _key(item: Envelope) -> Key:
    body = item.body if item.encoding == RAW else decode_payload(item.encoding, item.body)[CONTENT].encode()
    return read(body)[:2]
