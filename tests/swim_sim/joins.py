"""SWIM's Fig. 4: members join one after the other while every tenth message is lost, and who is held for dead goes.

In that paper a failure is final: whoever hears of its own leaves. *basic* tells of each by one message to everybody,
and accuses at once; *infection* tells by what pings and acks carry; *suspicion* waits for a refutation, too. The times
of the joins are ours, as the paper does not give them.
"""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import mean

from liminal_mesh.cluster.identity import NodeId
from liminal_mesh.cluster.swim import SwimOptions
from liminal_mesh.cluster.swim_frames import MemberRecord, RecordState, Rumour, SwimFrame

from .clock import Node
from .datagrams import SWIM, Datagrams

__all__ = ["MODES", "settled"]

MEMBERS, LOSS = 17, 0.1
PERIOD_S = 2.0
JOIN_EVERY, WATCHED = 3, 15
"""Periods between two joins, and after the last one."""

SUSPICION = replace(
    SWIM,
    probe_s=PERIOD_S,
    timeout_s=PERIOD_S / 3,
    relays=1,
    alpha=3 * math.log(10),
    retransmit=3,
    gossip_s=math.inf,
)
"""The paper's: one helper, suspicions of 3 ln n periods, and rumours only on what is sent anyway."""

INFECTION = replace(SUSPICION, alpha=0.0)
MODES: dict[str, tuple[SwimOptions, bool, int]] = {
    "basic": (INFECTION, True, 2),
    "infection": (INFECTION, False, 4),
    "infection and suspicion": (SUSPICION, False, 12),
}
"""The machine's options, whether news is told to everybody in one message each, and the published size."""


def settled(seed: int, mode: str) -> float:
    """Return how many members the members hold for alive, in the mean over the end of the run."""
    options, told_to_all, _ = MODES[mode]
    world = Datagrams(seed, MEMBERS, options, loss=LOSS)
    members = list(world.nodes.values())
    for node in members:
        _forget_others(node)
        node.stopped = True
        if told_to_all:
            _tell_all(node)
    hand_over = world.deliver

    def deliver(target: Node, peer: NodeId, frame: SwimFrame) -> None:
        if target.alive and not target.stopped:
            board, stranger = target.swim._board, peer.name not in target.swim._board.roster
            if stranger:
                board.put(world.nodes[peer.name].swim.record, world.clock.now)
            hand_over(target, peer, frame)
            if stranger:  # a newcomer of whom it did not hear is answered, and no more
                board.drop(peer.name)
                board.take()
            if any(_condemns(rumour, target) for rumour in getattr(frame, "rumours", ())):
                target.alive = False

    world.deliver = deliver  # type: ignore[method-assign]
    for number, node in enumerate(members):
        _join(world, node, members[:number])
        world.run(JOIN_EVERY * PERIOD_S)
    sizes = []
    for _ in range(WATCHED):
        world.run(PERIOD_S)
        views = [node.swim._board.roster.live for node in members if node.alive]
        sizes.append(mean(views) if views else 0)
    return mean(sizes[-10:])


def _forget_others(node: Node) -> None:
    board = node.swim._board
    for name in board.roster.names:
        if name != node.name:
            board.drop(name)
    board.take()


def _tell_all(node: Node) -> None:
    """Tell the news of a first hand to everybody at once, and carry nothing on."""
    board = node.swim._board

    def spread(rumour: Rumour, at_once: bool = False) -> None:
        if at_once:
            board.broadcast(rumour)

    board.spread = spread  # type: ignore[method-assign]


def _condemns(rumour: Rumour, target: Node) -> bool:
    record: MemberRecord = rumour.record
    return record.name == target.name and record.state is RecordState.DEAD


def _meet(one: Node, other: Node, now: float) -> None:
    """Let a member learn of another at first hand, and tell of it as its mode has it."""
    one.swim._judge.meet(other.swim.record, now)
    one.do(one.swim._done(now))


def _join(world: Datagrams, node: Node, others: list[Node]) -> None:
    """Let a node in: somebody who is there tells it who there is, and the others of it."""
    now = world.clock.now
    node.stopped = False
    there = [other for other in others if other.alive]
    if there:
        contact = world.clock.rng.choice(there)
        for record in contact.swim._board.roster.records():
            node.swim._board.roster.put(record, now)
        _meet(contact, node, now)
    node.swim._prober._next_at = now
    node.tick()
