"""Nodes that leave: N2, N4, N5, N6."""

from __future__ import annotations

from typing import Any

from ..events import Publish, Usage
from ..story import Story, StoryNode
from ..telling import bad, good


def _three(story: Story) -> tuple[StoryNode, StoryNode, StoryNode]:
    """Start nodes that see each other."""
    a, b, c = (story.node(name) for name in "abc")
    story.meet(a, b, c)
    return a, b, c


def _left(node: StoryNode, *others: StoryNode) -> None:
    """Let a node be gone, and the others see it."""
    for other in others:
        other.see(node, "left")
        other.link(node, up=False)
    node.drained()


# --- N2: nothing is accepted after a drain has begun ---


@bad("N2", "phantom")
def a_node_publishes_while_it_leaves(story: Story) -> None:
    a = story.node("a")
    a.drain()
    a.publish()
    a.drained()


@bad("N2", "phantom")
def what_began_while_its_node_left_is_delivered_after_its_outcome_was_lost(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    one = b.subscribe()
    a.drain()
    message = a.publish("info")
    story.add(Publish(**a.at, id=1, type="info", client="a", error="OutcomeUnknown"))
    one.got(message)
    a.drained()


@bad("N2", "phantom")
def a_key_is_taken_while_its_node_leaves(story: Story) -> None:
    a = story.node("a")
    a.drain()
    a.attempt()
    a.drained()


@bad("N2", "phantom")
def a_subscription_is_opened_while_its_node_leaves(story: Story) -> None:
    a = story.node("a")
    a.drain()
    a.subscribe()
    a.drained()


# --- N4: it ends within its budget, with exit code 0 ---


@bad("N4", "stuck")
def a_node_never_ends(story: Story) -> None:
    story.node("a").drain()


@bad("N4", "stuck")
def a_node_takes_more_than_it_has(story: Story) -> None:
    a = story.node("a")
    a.drain()
    story.wait(7_000_000_000)
    a.drained()


@bad("N4", "lost")
def a_node_leaves_something_behind(story: Story) -> None:
    a = story.node("a")
    a.drain()
    a.drained(handed_on=False, code=1)


@bad("N4", "lost")
def a_node_crashes_at_its_end(story: Story) -> None:
    a = story.node("a")
    a.drain()
    a.drained(code=-11)


# --- N5: peers see it leave ---


@bad("N5", "lost")
def a_node_that_leaves_is_suspected(story: Story) -> None:
    a, b, c = _three(story)
    a.drain()
    b.see(a, "suspect")
    _left(a, b, c)


@bad("N5", "lost")
def a_node_that_left_is_held_for_dead(story: Story) -> None:
    a, b, c = _three(story)
    a.drain()
    b.see(a, "dead")
    b.link(a, up=False)
    _left(a, c)


@bad("N5", "lost")
def a_node_was_not_told(story: Story) -> None:
    a, b, c = _three(story)
    a.drain()
    b.link(a, up=False)
    _left(a, c)


# --- N6: what was accepted before is handed on ---


@bad("N6", "lost")
def the_last_messages_of_a_node_that_left_never_came_to_a_peer(story: Story) -> None:
    a, b, c = _three(story)
    one, other = b.subscribe(wait="cluster"), c.subscribe(wait="cluster")
    first, last = a.publish(), a.publish()
    a.drain()
    one.got(first, last)
    other.got(first)
    _left(a, b, c)
    one.settle()
    other.settle()


def _client(story: Story, node: StoryNode, session: int = 1) -> None:
    """Let the process of a client of a node say what it uses, and so where it is connected."""
    used: dict[str, Any] = dict.fromkeys(("resident", "descriptors", "tasks", "queues", "waiting"), 0)
    at = {**node.at, "proc": "client"}
    story.add(Usage(**at, session=session, moment="during", **used))


@bad("N6", "lost")
def a_client_is_sent_away_without_what_was_its_own(story: Story) -> None:
    a, b, c = _three(story)
    story.client("client")
    one = a.subscribe(proc="client", wait="cluster")
    _client(story, a)
    one.got(a.publish())
    last = a.publish()
    _client(story, a)
    a.drain()
    _left(a, b, c)
    one.gap(last, node="b", reason="link")
    one.settle()


# --- what is well ---


@good
def a_node_leaves_amid_its_work_and_comes_back(story: Story) -> None:
    a, b, c = _three(story)
    story.client("client")
    mine, here, there = a.subscribe(proc="client"), a.subscribe(), b.subscribe(wait="cluster")
    _client(story, a)
    first, second, last = (a.publish() for _ in range(3))
    a.begin(client="x")
    a.drain()
    a.publish("fail", numbered=False, told={"error": "Draining"})
    b.see(c, "suspect")
    b.see(c, incarnation=1)
    crossing = a.finish(client="x")
    mine.got(first)
    mine.gap(second, reason="overflow")
    mine.got(last, crossing)
    there.got(first, second, last)
    there.gap(crossing)
    here.got(first, second, last, crossing)
    here.leave()
    _left(a, b, c)
    again = story.node("a", 2)
    story.linked(again, b)
    story.linked(again, c)
    for one in (mine, there):
        one.settle()


@good
def a_node_that_was_not_run_for_a_while_is_suspected_while_it_leaves(story: Story) -> None:
    a, b, c = _three(story)
    for node in (a, b):
        node.use("before")
    a.drain()
    story.wait(1_000_000_000)
    a.use()
    b.see(a, "suspect")
    _left(a, b, c)


@good
def a_node_is_killed_while_it_leaves(story: Story) -> None:
    a, b, c = _three(story)
    a.drain()
    a.kill()
    for node in (b, c):
        node.see(a, "dead")


@good
def two_nodes_leave_at_once(story: Story) -> None:
    a, b, c = _three(story)
    a.drain()
    b.drain()
    for node in (b, c):
        node.link(a, up=False)
    c.see(a, "left")
    a.drained()
    _left(b, c)


@good
def a_client_that_had_just_come_back_is_told_of_what_it_missed(story: Story) -> None:
    a, b, c = _three(story)
    story.client("client")
    one = a.subscribe(proc="client")
    _client(story, a)
    first, missed = a.publish(), a.publish()
    one.got(first)
    _client(story, a, session=2)
    a.drain()
    one.gap(missed, reason="link")
    _left(a, b, c)
    one.settle()
