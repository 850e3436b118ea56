"""Who is there, and what links us: the wire, the links, the process-group registry, the mesh."""

from .auth import check_cookie, derive_key
from .client_frames import (
    CLIENT_FRAMES,
    CLIENT_PROTO,
    OTHERS_MAX,
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
from .client_member_frames import (
    MEMBERS_MAX,
    MemberChange,
    MemberEntry,
    MemberNews,
    UnwatchMembers,
    WatchMembers,
)
from .client_process_frames import (
    Demonitor,
    ExitProcess,
    GroupChange,
    GroupNews,
    Join,
    Leave,
    LinkProcess,
    MonitorProcess,
    OpenMailbox,
    ProcessGone,
    UnwatchGroup,
    WatchGroup,
)
from .codec import CLIENT_CODEC, encode_envelope, encode_envelopes
from .control import Control
from .control_plane import ControlPlane
from .control_thread import ControlThread
from .declare_frames import DECLARATIONS_MAX, Declaration, Declare
from .dialing import Attempt
from .discovery import SeedState
from .dns import DnsResolver
from .effects import Notice
from .envelope import BATCH_MAX, Encoding, Envelope, OptionKey
from .errors import AddressInUse, CookieRejected, NameInUse, ProtocolError, StaleEpoch
from .frames import LINK_PROTO, Hello
from .group_events import Interest, Joined, Left, Purged
from .identity import NODE_NAME, Address, NodeId, Pid, parse_address
from .lanes import Lane, PeerLane
from .ledger import TurnedAway
from .link import BusFrame, Link, MeshLimits
from .listener import Listener
from .membership import Member, MemberChanged, Membership, MemberState
from .mesh import Mesh
from .messenger import Messenger
from .network import Network
from .notices import Notices
from .offer_frames import OFFER_GROUPS_MAX, Eagerness, NoRoute, Offer, Reason, Taken
from .options import PeeringOptions
from .outbound import Outbound
from .peering import Peering
from .pipe_network import PipeHost, PipeNetwork
from .pressure_frames import SLOW_DOWN_MAX, SlowDown
from .process_frames import (
    ProcessDemonitor,
    ProcessDown,
    ProcessExit,
    ProcessFrame,
    ProcessLink,
    ProcessMonitor,
    ProcessUnlink,
)
from .publish_frames import Heads, Lost, Publish, Receipt, ReceiptRun, Suppressed
from .queue_names import QueueNames, queue_name, split_queue
from .registry import Registry
from .resolver import Answer, Record, Resolution, Resolver, resolve
from .scopes import CHANNEL_SCOPE, GROUP_SCOPE, QUEUE_SCOPE, SCOPES
from .seeds import Seed, parse_dns_server, parse_seed
from .swim import LAN, TEST, WAN, SwimOptions, SwimStatistics
from .tcp import TcpNetwork
from .trial import Trial, try_address
from .trie import TokenTrie
from .wire import Wire, WireOwner

__all__ = [
    "BATCH_MAX",
    "CHANNEL_SCOPE",
    "CLIENT_CODEC",
    "CLIENT_FRAMES",
    "CLIENT_PROTO",
    "DECLARATIONS_MAX",
    "GROUP_SCOPE",
    "LAN",
    "LINK_PROTO",
    "MEMBERS_MAX",
    "NODE_NAME",
    "OFFER_GROUPS_MAX",
    "OTHERS_MAX",
    "QUEUE_SCOPE",
    "SCOPES",
    "SLOW_DOWN_MAX",
    "TEST",
    "WAN",
    "Address",
    "AddressInUse",
    "Anchored",
    "Answer",
    "Attempt",
    "BusFrame",
    "ClientFrame",
    "ClientGap",
    "ClientOutcome",
    "ClientPublish",
    "Confirm",
    "Connect",
    "Connected",
    "Control",
    "ControlPlane",
    "ControlThread",
    "CookieRejected",
    "Credit",
    "Declaration",
    "Declare",
    "Deliver",
    "Demonitor",
    "Disconnect",
    "DnsResolver",
    "Eagerness",
    "Encoding",
    "Ended",
    "Envelope",
    "ExitProcess",
    "Failure",
    "GroupChange",
    "GroupNews",
    "Heads",
    "Hello",
    "Interest",
    "Join",
    "Joined",
    "KeepAlive",
    "KeepAliveReply",
    "Lane",
    "Leave",
    "Left",
    "Link",
    "LinkProcess",
    "Listener",
    "Lost",
    "Member",
    "MemberChange",
    "MemberChanged",
    "MemberEntry",
    "MemberNews",
    "MemberState",
    "Membership",
    "Mesh",
    "MeshLimits",
    "Messenger",
    "MonitorProcess",
    "NameInUse",
    "Network",
    "NoRoute",
    "NodeId",
    "Notice",
    "Notices",
    "Offer",
    "OpenMailbox",
    "OptionKey",
    "Outbound",
    "PeerLane",
    "Peering",
    "PeeringOptions",
    "Pid",
    "PipeHost",
    "PipeNetwork",
    "ProcessDemonitor",
    "ProcessDown",
    "ProcessExit",
    "ProcessFrame",
    "ProcessGone",
    "ProcessLink",
    "ProcessMonitor",
    "ProcessUnlink",
    "ProtocolError",
    "Publish",
    "Purged",
    "QueueNames",
    "Reason",
    "Receipt",
    "ReceiptRun",
    "Record",
    "Registry",
    "Reply",
    "Request",
    "Resolution",
    "Resolver",
    "Seed",
    "SeedState",
    "SlowDown",
    "StaleEpoch",
    "Subscribe",
    "Subscribed",
    "Suppressed",
    "SwimOptions",
    "SwimStatistics",
    "Taken",
    "TcpNetwork",
    "TokenTrie",
    "Trial",
    "TurnedAway",
    "Unsubscribe",
    "UnwatchGroup",
    "UnwatchMembers",
    "WatchGroup",
    "WatchMembers",
    "Wire",
    "WireOwner",
    "check_cookie",
    "derive_key",
    "encode_envelope",
    "encode_envelopes",
    "parse_address",
    "parse_dns_server",
    "parse_seed",
    "queue_name",
    "resolve",
    "split_queue",
    "try_address",
]
