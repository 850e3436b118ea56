"""The times and bounds of gossip membership, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["LAN", "TEST", "WAN", "SwimOptions"]


@dataclass(frozen=True, slots=True)
class SwimOptions:
    """How fast the dead are found, and how carefully; the defaults are for one datacenter."""

    probe_s: float = 0.5
    """How often one member is probed; a healthy node's round is over after as long."""

    timeout_s: float = 0.25
    """What the direct ping has before others are asked; never less than three round trips and 50 ms."""

    relays: int = 3
    """How many others are asked to ping a member that did not answer."""

    nack_share: float = 0.8
    """After what share of the timeout a relay says that it has no answer yet."""

    alpha: float = 4.0
    """The shortest suspicion is ``alpha * max(1, log10 n) * probe_s``: time for a refutation to come."""

    beta: float = 6.0
    """The longest suspicion in shortest ones: what a lone accuser has to wait."""

    confirmations: int = 3
    """How many further accusers make a suspicion as short as it gets."""

    health_max: int = 8
    """The worst local health, by which probes are slowed down (plus one); 0 never doubts ourselves."""

    buddy: bool = True
    """Whether a suspect is told of the suspicion with each ping."""

    mesh: bool = True
    """Whether what only a full mesh of streams can do is done.

    Suspects are accused to their face and refute on all links, any byte shows life, and whoever just heard of
    a member vetoes its death. Off, this is the published SWIM or Lifeguard.
    """

    isolation_hold: bool = True
    """Whether nobody is convicted while we hear of no one, for at most the longest suspicion."""

    late_s: float = 0.25
    """A tick that comes later than this, and than half a probe, means that we were stopped ourselves."""

    gossip_s: float = 0.2
    """How often rumours are sent to a few members, while there are any."""

    gossip_fanout: int = 3
    """To how many."""

    gossip_dead_s: float = 30.0
    """How long the dead are among them: who is dead by mistake must hear of it."""

    retransmit: int = 4
    """A rumour is sent ``retransmit * ceil(log10(n + 1))`` times."""

    rumour_bytes_max: int = 1024
    """The most bytes of rumours in one frame."""

    broadcast_max: int = 64
    """Up to how many members news goes to all of them in one hop, not only by gossip."""

    refute_s: float = 0.1
    """How often we refute to everybody, at most."""

    repair_s: float = 1.0
    """How long another's digest may differ before the views are compared."""

    push_pull_s: float = 30.0
    """How often views are compared with some member in any case."""

    fast_death: bool = True
    """Whether broken links convict when the others agree; without it only probes do."""

    evidence_s: float = 1.0
    """How long after the loss of a link its evidence may convict."""

    veto_s: float = 0.25
    """How long others have to object."""

    redial_gap_s: float = 0.15
    """The pause between the two refused dials that make a broken link a dead process."""

    lone_death_s: float = 0.6
    """How long three dials must fail before a node with nobody to ask convicts its only peer."""

    mass_loss_s: float = 1.0
    """Losing more than half of our links within this is evidence against ourselves."""

    redial_cap_s: float = 1.5
    """The longest pause between dials for the first ``redial_eager_s`` of an absence; a mesh heals within this."""

    redial_eager_s: float = 120.0
    redial_slow_s: float = 15.0
    redial_slow_until_s: float = 3600.0
    redial_rare_s: float = 60.0
    """Then the pauses grow in two steps: to ``redial_slow_s``, and after ``redial_slow_until_s`` to this."""

    dials_per_s: float = 20.0
    """The most dials of the dead a second; who waited longest is first."""

    dials_max: int = 64
    """The most members that are dialled at once."""

    connect_s: float = 2.0
    """What a dial may take, its handshake included: the kernel of a stopped process accepts, and never answers."""

    seed_s: float = 5.0
    """How often a seed that leads to no live member is dialled, give or take a half."""

    forget_s: float = 86_400.0
    """How long the dead and the departed are remembered, and the dead dialled."""

    tombstones_max: int = 4096
    """The most of them; the oldest goes first."""

    members_max: int = 16_384
    """The most names known; further ones are not learned."""

    zombie_s: float = 60.0
    """How long the silent link of a dead member is kept: who wakes up reads there that it is dead."""

    remind_s: float = 5.0
    """How often it is told so."""

    name_check_s: float = 0.5
    """What the bearer of a name has to show that it lives when a later run claims it."""

    leave_s: float = 1.0
    """How long a leaving node waits to be heard."""

    leave_acks: int = 3
    """By how many."""

    stalled_s: float = 0.5
    """A member whose main loop is further behind is stalled."""

    flap_s: float = 60.0
    """Three deaths and returns within this double a member's shortest suspicion."""

    flap_cap: int = 8
    """At most to so many times."""

    def interval(self, health: int) -> float:
        """Return how long a probe round takes at this local health."""
        return self.probe_s * (health + 1)


LAN: Final = SwimOptions()
"""One datacenter."""

WAN: Final = SwimOptions(
    probe_s=2.0,
    timeout_s=1.0,
    alpha=5.0,
    veto_s=1.0,
    evidence_s=4.0,
    redial_gap_s=0.5,
    lone_death_s=2.0,
    zombie_s=120.0,
    gossip_s=0.5,
    gossip_fanout=4,
    push_pull_s=60.0,
    redial_cap_s=5.0,
    redial_slow_s=60.0,
    forget_s=3 * 86_400.0,
    seed_s=15.0,
    connect_s=5.0,
)
"""Several datacenters."""

TEST: Final = SwimOptions(
    probe_s=0.1,
    timeout_s=0.05,
    relays=1,
    alpha=3.0,
    beta=4.0,
    confirmations=2,
    late_s=0.1,
    veto_s=0.1,
    evidence_s=0.4,
    redial_gap_s=0.05,
    lone_death_s=0.2,
    zombie_s=5.0,
    remind_s=1.0,
    gossip_s=0.05,
    push_pull_s=2.0,
    redial_cap_s=0.3,
    redial_slow_s=0.3,
    redial_rare_s=0.3,
    forget_s=60.0,
    seed_s=0.5,
    connect_s=0.3,
)
"""Meshes in tests, which have no time."""
