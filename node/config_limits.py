"""The section ``[limits]``: every bound of a node, each with a name and a default, none zero or unlimited."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .config_types import Count, Duration, Section, Size

__all__ = ["LimitsConfig"]


class LimitsConfig(Section):
    """Every bound of the node. What would pass one is refused with its name, or waits."""

    max_frame: Annotated[Size, Field(ge=64 << 10, le=64 << 20)] = 1 << 20
    """The largest frame, the same on all nodes of a mesh; a client or a peer that sends a larger one is cut off."""
    envelope: Annotated[Size, Field(ge=1 << 10)] = 64 << 10
    """The largest envelope: a publish's key, headers and options, without its body."""
    preauth_frame: Annotated[Size, Field(ge=1 << 10, le=64 << 10)] = 4 << 10
    """The largest frame before the other side has said who it is."""
    connections: Count = 1024
    """Client connections of the node."""
    connections_per_ip: Count = 128
    """Client connections from one IP address; not applied to loopback unless it is set."""
    handshakes: Count = 64
    """Connections of a listener that have not yet said who they are, and HTTP connections; more wait in the backlog."""
    handshake_timeout: Duration = 5.0
    """How long a connection may take to say who it is; a fifth of that, as an idle HTTP one, while others wait."""
    listen_backlog: Count = 1024
    """Connections that the system holds until the node takes them."""
    subscriptions_per_connection: Count = 1024
    """Subscriptions and processes of one client connection."""
    memberships_per_connection: Count = 4096
    """Memberships of process groups of one client connection."""
    watches_per_connection: Count = 4096
    """Monitors of processes, and watches of groups and of the members, of one client connection; and as many links."""
    waits_per_connection: Count = 1024
    """Requests of one client connection that wait for peers."""
    processes: Count = 100_000
    """Processes that the program of an embedded node has spawned and that run."""
    process_links: Count = 1_000_000
    """Links and monitors of all processes of the node, those of peers included."""
    inbox_messages: Count = 4096
    """Messages that wait for one subscription, where its channel does not say otherwise."""
    inbox_bytes: Size = 4 << 20
    """Bytes that wait for one subscription, where its channel does not say otherwise."""
    inbox_bytes_connection: Size = 64 << 20
    """Bytes that wait for all subscriptions of one client connection; beyond it the largest is emptied into a gap."""
    inbox_bytes_node: Size = 256 << 20
    """Bytes that wait for all subscriptions of the node; beyond it the largest inbox is emptied into a gap."""
    slowed_bytes_connection: Size = 8 << 20
    """Bytes of publishes of one client connection that wait on channels that slow their publishers; more is refused."""
    slowed_bytes_node: Size = 64 << 20
    """The same of all client connections."""
    write_deadline: Duration = 10.0
    """How long a client may leave what was written to it unread before its connection ends."""
    peers: Count = 256
    """Nodes that this one is linked with."""
    channels: Count = 10_000
    """Channels of families in use at once; a channel that is configured by its exact name is not counted."""
    key: Size = 256
    """The longest key of a publish, in bytes of UTF-8."""
    dedup_keys: Count = 1_000_000
    """Keys of one channel that are remembered at once; a publish with one more is refused until a window is over."""
    dedup_keys_node: Count = 4_000_000
    """Keys of all channels that are remembered at once; a key takes about 300 bytes of memory."""
    groups: Count = 65_536
    """Process groups that this node has members in, or has sent to."""
    registry_entries: Count = 100_000
    """Members of channels and groups that one peer may announce."""
    channel_lane_bytes: Size = 8 << 20
    """Bytes of publishes that wait for one peer; further ones are dropped for that peer, and it is told."""
    lane_age: Duration = 5.0
    """How long a publish may wait for one peer before nothing more is taken for it."""
    causal_wait: Duration = 5.0
    """How long a message waits for its parent where a subscription asks for causal order."""
    causal_messages: Count = 1024
    """Messages of one subscription that wait for their parents; beyond it the oldest comes without."""
    causal_bytes: Size = 4 << 20
    """The same in bytes."""
