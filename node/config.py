"""What a node is told at its start: :class:`NodeConfig` and its sections.

Built in code it reads neither files nor the environment; :mod:`.config_sources` does that for ``liminal serve``
and ``Node.from_file``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from warnings import catch_warnings, simplefilter

from pydantic import AfterValidator, Field, field_validator

from liminal_mesh.cluster import Address, parse_address, parse_dns_server, parse_seed

from .config_checks import problems_between
from .config_limits import LimitsConfig
from .config_pressure import PressureConfig
from .config_types import (
    Advertise,
    ChannelName,
    Count,
    Duration,
    Flag,
    Items,
    Listen,
    Name,
    NodeName,
    SchemaSource,
    Section,
    Size,
)
from .errors import ConfigError

__all__ = [
    "ChannelConfig",
    "ClientConfig",
    "ClusterConfig",
    "DedupConfig",
    "HttpConfig",
    "InboxConfig",
    "LimitsConfig",
    "LogConfig",
    "NodeConfig",
    "PressureConfig",
    "RestartConfig",
]


def _check_seed(seed: str) -> str:
    return parse_seed(seed).text


SeedText = Annotated[str, AfterValidator(_check_seed)]
DnsServer = Annotated[str, AfterValidator(parse_dns_server)]


class ClientConfig(Section):
    """The listener for clients."""

    listen: Listen = "127.0.0.1:7600"
    """Where clients connect. Port 0 takes a free one."""
    advertise: Annotated[Advertise | None, Field(examples=["a.example:7600"])] = None
    """Where other nodes send their clients when they stop: ``host:port``, or ``auto`` for this machine's host name."""
    allow_insecure: Flag = False
    """Listen off loopback although there are neither tokens nor TLS: whoever reaches the port may do everything."""

    @property
    def address(self) -> Address:
        """``listen``, read."""
        return parse_address(self.listen)


class HttpConfig(Section):
    """The listener for HTTP: health, metrics, administration."""

    listen: Listen = "127.0.0.1:7602"
    """Where HTTP is served. Port 0 takes a free one."""
    allow_insecure: Flag = False
    """Listen off loopback although there are neither tokens nor TLS: whoever reaches the port may do everything."""
    allowed_hosts: Items[str] = ()
    """Host names under which the node may be asked, beside 127.0.0.1, localhost and [::1]; others are refused."""

    @property
    def address(self) -> Address:
        """``listen``, read."""
        return parse_address(self.listen)


class LogConfig(Section):
    """The log of ``liminal serve``; an embedded node leaves logging to its program."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important kind of line that is written."""
    format: Literal["auto", "console", "json"] = "auto"
    """``auto`` is console on a terminal, JSON elsewhere."""


class ClusterConfig(Section):
    """The mesh. Without this section no mesh port opens, and readiness has no membership condition."""

    name: Name = "default"
    """The cluster's name; nodes of another one are refused."""
    listen: Listen = "127.0.0.1:7601"
    """Where peers connect. Port 0 takes a free one."""
    advertise: Annotated[Advertise | None, Field(examples=["a.example:7601"])] = None
    """What peers dial, a host name is fine; ``auto`` is this machine's host name; as listened when it is absent."""
    seeds: Items[SeedText] = ()
    """Where other nodes are: ``host:port``, ``dns://host:port``, ``srv://_mesh._tcp.name``; any one is enough."""
    dns_servers: Items[DnsServer] = ()
    """Who is asked for the names of seeds, ``ip`` or ``ip:port``; the system's servers when there are none."""
    cookie_file: Annotated[Path | None, Field(examples=["cookie"])] = None
    """The file with the secret that all nodes share; ``liminal cookie new FILE`` makes one."""
    cookie_files: Annotated[Items[Path], Field(max_length=2)] = ()
    """Instead of ``cookie_file``: a ring of two for rotation; the first is used to dial, each is accepted."""
    expected: Annotated[Count | None, Field(examples=[3])] = None
    """How many nodes make the mesh whole: seeds are looked up again while there are fewer, or none but this one."""
    ready: Literal["alone", "joined", "majority"] = "alone"
    """What readiness demands of the mesh: nothing, a first peer, or a majority of ``expected``."""
    profile: Literal["lan", "wan", "local"] = "lan"
    """How fast the dead are found: for one datacenter, for several, or for nodes on one machine."""
    fast_death: Flag = True
    """Whether broken links show a death within a second, if the others agree; without it only silence does."""
    dial_overrides: Mapping[NodeName, Listen] = Field(default_factory=dict)
    """Node names to addresses: dial them there, whatever they advertise."""
    allow_insecure_peers: Flag = False
    """Speak with peers off loopback without TLS: whoever sits on the network can read and alter everything."""

    @property
    def address(self) -> Address:
        """``listen``, read."""
        return parse_address(self.listen)

    @property
    def cookie_paths(self) -> tuple[Path, ...]:
        """The files of the cookie ring, the one to dial with first."""
        return (self.cookie_file,) if self.cookie_file else tuple(self.cookie_files)


class InboxConfig(Section):
    """The bounds of each subscription's inbox on a channel."""

    messages: Count | None = None
    """Messages that may wait; ``limits.inbox_messages`` when absent."""
    bytes: Size | None = None
    """Bytes that may wait; ``limits.inbox_bytes`` when absent."""
    overflow: Literal["drop-oldest", "drop-newest", "reject", "disconnect"] = "drop-oldest"
    """Whom a full inbox costs what."""


class RestartConfig(Section):
    """How often a channel that crashes is restarted; after that it is refused by name."""

    attempts: Annotated[int, Field(ge=0, le=1000)] = 5
    """Restarts within that time; 0 restarts it never."""
    within: Duration = 60.0
    """The time over which they are counted."""


class DedupConfig(Section):
    """How publishes with keys are told from their retries."""

    window: Duration = 600.0
    """How long a key is remembered after its message was delivered."""
    mode: Literal["local", "strict"] = "local"
    """Only ``local`` in this version: each node remembers what it has delivered, and a subscriber gets a key once."""

    @field_validator("mode")
    @classmethod
    def _refuse_strict(cls, mode: str) -> str:
        if mode == "strict":
            raise ValueError("strict keys need durable channels, which are not available in this version: use 'local'")
        return mode


with catch_warnings():
    # Pydantic's models have a method ``schema`` that nobody shall call any more; it warns of fields of that name.
    simplefilter("ignore", UserWarning)

    class ChannelConfig(Section):
        """One channel, or a family of channels."""

        name: ChannelName
        """The channel's name; a pattern such as ``metrics.*`` declares a family."""
        durable: Flag = False
        """Only false in this version: every channel is ephemeral."""
        schema: Annotated[SchemaSource | None, Field(examples=["schemas/order.json"])] = None  # type: ignore[assignment]
        """What its payloads have to be: the file of a JSON Schema, relative to this one, or the schema itself."""
        inbox: InboxConfig = InboxConfig()
        """The bounds of each subscription's inbox."""
        ack: Literal["accepted", "nodes"] = "accepted"
        """What a publish waits for, unless it says otherwise: this node alone, or every interested node's receipt."""
        restart: RestartConfig = RestartConfig()
        """What becomes of the channel when a delivery on it crashes."""
        dedup: DedupConfig = DedupConfig()
        """How publishes with keys are told from their retries."""
        pressure: Items[PressureConfig] = ()
        """What is done when its consumers are full, by how full they are."""

        @field_validator("durable")
        @classmethod
        def _refuse_durable(cls, durable: bool) -> bool:
            if durable:
                raise ValueError("durable channels are not available in this version")
            return durable


class NodeConfig(Section):
    """Everything that a node is told at its start. Each key has a safe default: ``NodeConfig()`` stays on loopback."""

    name: Annotated[NodeName | None, Field(examples=["a"])] = None
    """The node's name, the same at every start; by default the host's name and a random tail."""
    data_dir: Annotated[Path | None, Field(examples=["data"])] = None
    """Where the node keeps what outlives it, its name and epoch for now; absent: nothing is kept."""
    drain_timeout: Duration = 30.0
    """How long the node may take to finish what it has accepted, when it is told to stop."""
    client: ClientConfig = ClientConfig()
    http: HttpConfig = HttpConfig()
    log: LogConfig = LogConfig()
    cluster: ClusterConfig | None = None
    channels: Items[ChannelConfig] = ()
    limits: LimitsConfig = LimitsConfig()

    if not TYPE_CHECKING:

        def __init__(self, /, **data: Any) -> None:
            super().__init__(**data)
            if problems := problems_between(self):
                raise ConfigError(problems)

        __init__.__pydantic_base_init__ = True
