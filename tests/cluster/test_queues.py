"""Queues in the registry: which ones a channel's publishes go to, and who is in them, by node."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from liminal_mesh.cluster.queue_names import QueueNames, queue_name, split_queue
from liminal_mesh.cluster.registry import Registry
from liminal_mesh.cluster.scopes import CHANNEL_SCOPE, QUEUE_SCOPE
from liminal_mesh.cluster.trie import TokenTrie

from .registry_pair import A, B, Pair

patterns = st.sampled_from(["a", "a.b", "a.*", "a.>", ">", "*.b"])
groups = st.sampled_from(["g", "h", "a.b"])
CHANNELS = ("a", "b", "a.b", "a.c", "a.b.c")


def covers(pattern: str, channel: str) -> bool:
    """Whether a pattern covers a channel, asked one by one."""
    trie = TokenTrie()
    trie.add(pattern)
    return pattern == channel or trie.match(channel) == [pattern]


@given(st.lists(st.tuples(st.booleans(), patterns, groups)))
def test_the_queues_of_a_channel_are_those_whose_pattern_covers_it(steps: list[tuple[bool, str, str]]) -> None:
    """Each once, after any additions and removals."""
    names, model = QueueNames(), set[str]()
    for adds, pattern, group in steps:
        queue = queue_name(pattern, group)
        assert split_queue(queue) == (pattern, group)
        (names.add if adds else names.remove)(queue)
        (model.add if adds else model.discard)(queue)

        assert len(names) == len(model)
        for channel in CHANNELS:
            wanted = sorted(one for one in model if covers(split_queue(one)[0], channel))
            assert sorted(names.covering(channel)) == wanted


def linked() -> Pair:
    """Return two registries that have a session and are synced."""
    pair = Pair(Registry(A), Registry(B))
    pair.up()
    pair.run()
    return pair


def members(registry: Registry, queue: str) -> dict[str, set[int]]:
    """Return who is in a queue, by node."""
    return {node: set(numbers) for node, numbers in registry.queue_members(queue).items()}


def test_a_queue_is_seen_at_every_node_with_its_members() -> None:
    """R2: the count of members is always the true one, also where the version does not say that it changed."""
    pair = linked()
    a, b = pair.a.registry, pair.b.registry
    a.join(QUEUE_SCOPE, "orders.*:g", 1)
    b.join(QUEUE_SCOPE, "orders.eu:g", 1)
    b.join(QUEUE_SCOPE, "orders.eu:h", 2)
    pair.run()

    for registry in (a, b):
        assert sorted(registry.queues_of("orders.eu")) == ["orders.*:g", "orders.eu:g", "orders.eu:h"]
        assert registry.queues_of("orders.us") == ["orders.*:g"]
        assert registry.queues_of("orders") == []
        assert members(registry, "orders.*:g") == {"a": {1}}
    held = b.queue_members("orders.*:g")["a"]
    version = b.version(QUEUE_SCOPE)
    a.join(QUEUE_SCOPE, "orders.*:g", 2)
    pair.run()
    assert (held, b.version(QUEUE_SCOPE)) == ({1, 2}, version)

    for number in (1, 2):
        a.leave(QUEUE_SCOPE, "orders.*:g", number)
    pair.run()
    assert b.queues_of("orders.us") == []
    assert b.version(QUEUE_SCOPE) > version
    assert members(b, "orders.*:g") == {}


def test_a_queue_is_no_interest_of_those_who_are_in_no_group() -> None:
    """The scopes do not meet: who publishes to plain subscriptions does not see it."""
    pair = linked()
    pair.a.registry.join(QUEUE_SCOPE, "orders:g", 1)
    pair.a.registry.join(CHANNEL_SCOPE, "stock", 2)
    pair.run()

    assert pair.b.registry.nodes_of(CHANNEL_SCOPE, "orders") == frozenset()
    assert pair.b.registry.queues_of("stock") == []


def test_what_a_peer_had_is_known_while_it_is_not_linked() -> None:
    """R6: hidden with its session, and told as lost until it is linked again or given up on."""
    pair = linked()
    a, b = pair.a.registry, pair.b.registry
    a.join(QUEUE_SCOPE, "orders.*:g", 1)
    a.join(QUEUE_SCOPE, "stock:g", 2)
    pair.run()
    assert b.lost_queues("orders.eu") == {}
    pair.down()

    assert b.queues_of("orders.eu") == []
    assert b.lost_queues("orders.eu") == {"a": ["orders.*:g"]}
    assert b.lost_queues("elsewhere") == {}
    pair.up()
    pair.run()
    assert b.lost_queues("orders.eu") == {}
    assert b.queues_of("orders.eu") == ["orders.*:g"]
    a.leave(QUEUE_SCOPE, "orders.*:g", 1)
    pair.run()
    pair.down()
    assert b.lost_queues("orders.eu") == {}
    b.free("a")
    assert b.lost_queues("stock") == {}
    b.validate()


def test_the_longest_names_fit() -> None:
    """A pattern and a group of 256 bytes each."""
    pair = linked()
    queue = queue_name("x" * 256, "y" * 256)
    pair.a.registry.join(QUEUE_SCOPE, queue, 1)
    pair.run()

    assert members(pair.b.registry, queue) == {"a": {1}}
