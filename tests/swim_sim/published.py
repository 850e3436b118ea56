"""The experiments of the papers, each on the shipped machine: what is measured, with the seed as the only chance."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace

from liminal_mesh.cluster.membership import MemberChanged
from liminal_mesh.cluster.swim import SendTo, SwimOptions
from liminal_mesh.cluster.swim_frames import MemberRecord, RecordState, Rumour, SwimGossip, SwimPing

from .clock import Node
from .datagrams import SWIM, Datagrams

__all__ = ["Detection", "Idle", "Storm", "false_suspicions", "idle", "interval", "spread_rounds", "threshold"]

QUIET_S = 15.0
STORM_S = 120.0


@dataclass
class Idle:
    """A mesh at rest: what each member sent in a period, and when each was probed."""

    load: float
    periods_to_probe: list[int]
    longest_gap: int


def idle(seed: int, count: int, periods: int) -> Idle:
    """Watch an idle mesh.

    Whoever dies is found by the first ping that it would have had: so for each member and many moments the
    periods up to the next ping are counted, from 1 (SWIM, Fig. 3a). The longest gap is between two pings of one
    member by one other (the time-bounded completeness of its 4.3).
    """
    world = Datagrams(seed, count, SWIM)
    pinged: dict[str, list[float]] = defaultdict(list)
    last: dict[tuple[str, str], float] = {}
    gaps = [0.0]

    def sent(node: Node, effect: SendTo) -> None:
        if isinstance(effect.frame, SwimPing):
            pinged[effect.name].append(world.clock.now)
            pair = (node.name, effect.name)
            if count <= 256:  # the square of more does not fit
                gaps.append(world.clock.now - last.get(pair, world.clock.now))
                last[pair] = world.clock.now

    world.on_send = sent
    world.run(periods)
    waits = []
    for times in pinged.values():
        after = iter(times)
        upcoming = next(after)
        for start in range(periods // 2):
            while upcoming < start:
                later = next(after, None)
                if later is None:
                    break
                upcoming = later
            if upcoming >= start:
                waits.append(1 + int(upcoming - start))
    return Idle(sum(world.sent.values()) / count / periods, waits, round(max(gaps)))


def spread_rounds(seed: int, count: int) -> tuple[float, float]:
    """Return in how many rounds of gossip one rumour reached all, and what share of the members it reached."""
    world = Datagrams(seed, count, SWIM)
    world.run(2.0)
    begin, informed = world.clock.now, {"n0": world.clock.now}

    def changed(node: Node, change: MemberChanged) -> None:
        if change.after is not None and change.after.name == "n0":
            informed.setdefault(node.name, world.clock.now)

    world.on_change = changed
    news = MemberRecord("n0", 1, 1, RecordState.ALIVE, "n0")
    world.deliver(world.nodes["n1"], world.nodes["n0"].me, SwimGossip([Rumour(news)]))
    world.run(SWIM.gossip_s * 40)
    return (max(informed.values()) - begin) / SWIM.gossip_s, len(informed) / count


def false_suspicions(
    seed: int, *, delivered: float, relays: int, count: int = 64, periods: int = 200
) -> tuple[int, int]:
    """Return how many probe rounds of live members failed under loss, and how many rounds there were (SWIM, 3.1)."""
    world = Datagrams(seed, count, replace(SWIM, relays=relays), loss=1 - delivered)
    failed = 0

    def accuse(name: str, now: float) -> None:
        nonlocal failed
        failed += 1

    for node in world.nodes.values():
        node.swim._judge.accuse = accuse  # type: ignore[method-assign]
    world.run(periods + 1)
    return failed, count * periods


@dataclass
class Detection:
    """Seconds from the begin of the anomaly to the first and to the last healthy member that knew, for each victim."""

    first_s: list[float] = field(default_factory=list)
    full_s: list[float] = field(default_factory=list)


def threshold(
    seed: int, options: SwimOptions, *, count: int = 128, blocked: int = 8, block_s: float = 32.768
) -> Detection:
    """Block some members once, for long, all at the same time (Lifeguard, Table V)."""
    world = Datagrams(seed, count, options)
    world.run(QUIET_S)
    victims = set(world.clock.rng.sample(sorted(world.nodes), blocked))
    known: dict[str, dict[str, float]] = {victim: {} for victim in victims}
    begin = world.clock.now

    def changed(node: Node, change: MemberChanged) -> None:
        after = change.after
        if after is not None and after.state == "dead" and after.name in victims and node.name not in victims:
            known[after.name].setdefault(node.name, world.clock.now - begin)

    world.on_change = changed
    for victim in sorted(victims):
        world.block(victim)
    world.run(block_s)
    found = Detection()
    for times in known.values():
        if times:
            found.first_s.append(min(times.values()))
        if len(times) == count - blocked:
            found.full_s.append(max(times.values()))
    return found


@dataclass
class Storm:
    """Deaths of members that were never blocked, those of them reported by such members, and what was sent."""

    runs: int = 1
    false: int = 0
    false_at_healthy: int = 0
    frames: int = 0
    sent_bytes: int = 0

    def add(self, other: Storm) -> None:
        """Add other runs."""
        self.runs += other.runs
        self.false += other.false
        self.false_at_healthy += other.false_at_healthy
        self.frames += other.frames
        self.sent_bytes += other.sent_bytes


def interval(
    seed: int,
    options: SwimOptions,
    *,
    blocked: int,
    block_s: float,
    pause_s: float,
    count: int = 128,
    reads_first: bool = False,
) -> Storm:
    """Block some members again and again for two minutes (Lifeguard, Tables IV, VI and VII)."""
    world = Datagrams(seed, count, options, sized=True, reads_first=reads_first)
    world.run(QUIET_S)
    victims = sorted(world.clock.rng.sample(sorted(world.nodes), blocked))
    storm = Storm()

    def changed(node: Node, change: MemberChanged) -> None:
        after = change.after
        if after is not None and after.state == "dead" and after.name not in victims:
            storm.false += 1
            storm.false_at_healthy += node.name not in victims

    world.on_change = changed
    world.sent.clear()
    world.sent_bytes = 0
    end = world.clock.now + STORM_S
    while world.clock.now < end:
        for victim in victims:
            world.block(victim)
        world.run(block_s)
        for victim in victims:
            world.release(victim)
        world.run(pause_s)
    storm.frames, storm.sent_bytes = sum(world.sent.values()), world.sent_bytes
    return storm
