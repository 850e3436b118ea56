"""Who is there, and what links us: the wire, the links, the process-group registry, the mesh."""

from .auth import check_cookie, derive_key
from .client_frames import (
    CLIENT_FRAMES,
    CLIENT_PROTO,
    Anchored,
    ClientFrame,
    ClientGap,
    ClientOutcome,
    ClientPublish,
    Confirm,
    Connect,
    Connected,
    Credit,
    Deliver,
    Disconnect,
    Ended,
    Failure,
    KeepAlive,
    KeepAliveReply,
    Reply,
    Request,
    Subscribe,
    Subscribed,
    Unsubscribe,
)
from .codec import CLIENT_CODEC, encode_envelope, encode_envelopes
from .envelope import BATCH_MAX, Encoding, Envelope, OptionKey
from .errors import AddressInUse, CookieRejected, NameInUse, ProtocolError, StaleEpoch
from .frames import Heads, Lost, Publish, Receipt, ReceiptRun
from .group_events import Interest, Joined, Left, Purged
from .identity import NODE_NAME, Address, NodeId, Pid, parse_address
from .lanes import Lane, PeerLane
from .link import Link, MeshLimits
from .listener import Listener
from .membership import Member, MemberChanged, Membership, MemberState
from .mesh import Mesh
from .notices import Notices
from .options import PeeringOptions
from .peering import Peering
from .process_frames import (
    ProcessDemonitor,
    ProcessDown,
    ProcessExit,
    ProcessFrame,
    ProcessLink,
    ProcessMonitor,
    ProcessUnlink,
)
from .registry import Registry
from .trie import TokenTrie
from .visible import SCOPES
from .wire import Wire, WireOwner

__all__ = [
    "BATCH_MAX",
    "CLIENT_CODEC",
    "CLIENT_FRAMES",
    "CLIENT_PROTO",
    "NODE_NAME",
    "SCOPES",
    "Address",
    "AddressInUse",
    "Anchored",
    "ClientFrame",
    "ClientGap",
    "ClientOutcome",
    "ClientPublish",
    "Confirm",
    "Connect",
    "Connected",
    "CookieRejected",
    "Credit",
    "Deliver",
    "Disconnect",
    "Encoding",
    "Ended",
    "Envelope",
    "Failure",
    "Heads",
    "Interest",
    "Joined",
    "KeepAlive",
    "KeepAliveReply",
    "Lane",
    "Left",
    "Link",
    "Listener",
    "Lost",
    "Member",
    "MemberChanged",
    "MemberState",
    "Membership",
    "Mesh",
    "MeshLimits",
    "NameInUse",
    "NodeId",
    "Notices",
    "OptionKey",
    "PeerLane",
    "Peering",
    "PeeringOptions",
    "Pid",
    "ProcessDemonitor",
    "ProcessDown",
    "ProcessExit",
    "ProcessFrame",
    "ProcessLink",
    "ProcessMonitor",
    "ProcessUnlink",
    "ProtocolError",
    "Publish",
    "Purged",
    "Receipt",
    "ReceiptRun",
    "Registry",
    "Reply",
    "Request",
    "StaleEpoch",
    "Subscribe",
    "Subscribed",
    "TokenTrie",
    "Unsubscribe",
    "Wire",
    "WireOwner",
    "check_cookie",
    "derive_key",
    "encode_envelope",
    "encode_envelopes",
    "parse_address",
]
