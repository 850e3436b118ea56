"""Who is in the mesh: G1 to G4."""

from __future__ import annotations

from ..story import Story
from ..telling import bad, good


@bad("G1", "lost")
def a_node_has_never_heard_of_another(story: Story) -> None:
    a, b, c = story.node("a"), story.node("b"), story.node("c")
    story.linked(a, b, c)
    for node, peer in ((a, b), (a, c), (b, a), (b, c), (c, a)):
        node.see(peer)
    story.rest()


@bad("G1", "lost")
def a_node_still_holds_the_former_run(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.meet(a, b)
    b.kill()
    a.link(b, up=False)
    again = story.node("b", 2)
    story.linked(a, again)
    again.see(a)
    story.rest()


@bad("G1", "lost")
def a_suspicion_never_ends(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.meet(a, b)
    a.see(b, "suspect")
    story.rest()


@bad("G1", "lost")
def a_living_node_is_forgotten(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.meet(a, b)
    a.see(b, "")
    story.rest()


@bad("G1", "phantom")
def a_killed_node_is_alive_for_ever(story: Story) -> None:
    a, b, c = story.node("a"), story.node("b"), story.node("c")
    story.meet(a, b, c)
    c.kill()
    a.see(c, "dead")
    story.rest()


@bad("G2", "phantom")
def a_dead_node_returns_without_having_refuted(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.meet(a, b)
    a.see(b, "dead")
    a.see(b)
    story.rest()


@bad("G2", "phantom")
def a_node_that_left_returns_in_the_same_run(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.meet(a, b)
    a.see(b, "left")
    a.see(b, incarnation=7)
    story.rest()


@bad("G2", "phantom")
def a_former_run_returns(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.meet(a, b)
    b.kill()
    again = story.node("b", 2)
    a.see(again)
    a.see(b, incarnation=1)


@bad("G2", "phantom")
def a_dead_node_that_was_forgotten_returns(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.meet(a, b)
    a.see(b, "dead", 3)
    a.see(b, "")
    a.see(b, "suspect", 3)


@bad("G3", "lost")
def a_node_that_was_stopped_is_never_let_back(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.meet(a, b)
    a.see(b, "dead")
    story.rest()


@bad("G3", "lost")
def a_living_node_has_left(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.meet(a, b)
    a.see(b, "left")
    story.rest()


@bad("G4", "duplicated")
def two_that_dialled_each_other_have_two_links(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.meet(a, b)
    a.link(b)


@bad("G4", "duplicated")
def a_new_run_is_linked_before_the_former_one_is_parted_with(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.meet(a, b)
    b.kill()
    a.link(story.node("b", 2))


@bad("G4", "lost")
def a_link_stands_on_one_side_alone(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.meet(a, b)
    b.link(a, up=False)
    story.rest()


@good
def a_restarted_node_takes_the_place_of_its_former_run(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.meet(a, b)
    b.kill()
    a.link(b, up=False)
    a.see(b, "suspect")
    a.see(b, "dead")
    again = story.node("b", 2)
    story.meet(a, again)
    story.rest()
    a.end()
    again.end()


@good
def a_stopped_node_was_dead_and_refutes(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.meet(a, b)
    a.see(b, "suspect")
    a.see(b, "dead")
    a.link(b, up=False)
    a.see(b, incarnation=1)
    b.link(a, up=False)
    story.linked(a, b)
    story.rest()


@good
def who_has_left_or_died_may_be_held_for_that_or_be_forgotten(story: Story) -> None:
    a, b, c, d = (story.node(name) for name in "abcd")
    story.meet(a, b, c, d)
    c.end()
    d.kill()
    for node in (a, b):
        for gone in (c, d):
            node.link(gone, up=False)
        node.see(c, "left")
        node.see(d, "dead")
    b.see(d, "")
    story.rest()


@good
def a_partition_has_two_views_and_none_of_them_counts(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.meet(a, b)
    for node, peer in ((a, b), (b, a)):
        node.link(peer, up=False)
        node.see(peer, "dead")
    for node, peer in ((a, b), (b, a)):
        node.see(peer, incarnation=1)
        node.link(peer)
    story.rest()
