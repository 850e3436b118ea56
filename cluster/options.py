"""The times and bounds of the session layer, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PeeringOptions"]


@dataclass(frozen=True, slots=True)
class PeeringOptions:
    """How a node meets its peers.

    ``address`` is what peers shall dial, ``seeds`` whom to dial first (:mod:`.seeds`), ``expected`` how many nodes make
    the mesh whole, this one included, and ``clients`` where clients connect, as other nodes may tell theirs ("": they
    may not).
    """

    cluster: str
    address: str
    seeds: tuple[str, ...] = ()
    expected: int = 2
    clients: str = ""

    heartbeat_s: float = 30.0
    """How often each session is looked at in any case, give or take a half."""

    ask_s: float = 0.5
    """How long something may wait for a peer before the peer is asked whether it is there."""

    heartbeat_early_s: float = 0.05
    """How soon a change of our peers is told, so that a burst of changes is told once."""

    silence_s: float = 5.0
    """A session whose peer was asked and does not answer for so long is dead."""

    late_s: float = 0.5
    """A tick that comes later than this means that we were stopped ourselves: then nobody else is to blame."""

    handshake_s: float = 5.0
    """What a connection may take to prove itself."""

    patience_s: float = 1.0
    """What one that is to be a control link may take although others wait for its place."""

    adopt_s: float = 2.0
    """What a session offered to a peer may wait for its answer."""

    name_check_s: float = 0.5
    """What the live bearer of a name has to give a sign of life when a newcomer claims it."""

    connect_s: float = 1.0
    """What a dial may take."""

    redial_base_s: float = 0.1
    """The first pause after a failed dial, before jitter; it doubles."""

    redial_cap_s: float = 1.5
    """The longest pause: a mesh heals within about this."""

    redial_self_s: float = 5.0
    """The pause after a dial that ended at this very node: often for good, but not if a name leads to several."""

    resolve_s: float = 5.0
    """What looking up a seed may take: two questions one after the other, each of them tried twice."""

    resolve_base_s: float = 0.5
    """The first pause between two lookups of a seed, before jitter; it doubles while the answer is the same."""

    resolve_cap_s: float = 5.0
    """The longest such pause: within about this, times one and a half, a new answer is noticed."""

    yield_first_s: float = 1.0
    """How long the higher name leaves the first dial to the lower one."""

    yield_again_s: float = 0.25
    """The same after a session was lost: whoever noticed may be the only one who did."""

    peers_max: int = 256
    """The most sessions, and the most peers that are dialled because others named them."""

    dials_max: int = 32
    """The most dials in flight."""

    pump_entries: int = 1024
    """The most registry entries put into a lane before it has to report room again."""
