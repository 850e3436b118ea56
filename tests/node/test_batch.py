"""Batches: when they are handed over, and in which order."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from liminal_mesh.cluster import Envelope
from liminal_mesh.node.batch import BYTES_MAX, ITEMS_MAX, Batch


class Owner:
    """What batches are open on, and the end of the turn."""

    def __init__(self) -> None:
        self.holder: Batch | None = None
        self.submitted: list[list[int]] = []
        self.deferred: list[Callable[[], None]] = []

    def batch(self) -> Batch:
        """Return a new batch."""
        return Batch(self, self.submit, lambda function: self.deferred.append(function))

    def submit(self, envelopes: list[Envelope]) -> None:
        """Take what is handed over."""
        self.submitted.append([one.id for one in envelopes])

    def end_turn(self) -> None:
        """Run what was deferred."""
        deferred, self.deferred = self.deferred, []
        for function in deferred:
            function()


def envelope(number: int, size: int = 0) -> Envelope:
    """Return an envelope."""
    return Envelope(number, 0, 0, 0, 0, b"x" * size)


def test_a_turn_is_one_batch() -> None:
    """Handed over at its end, once."""
    owner = Owner()
    batch = owner.batch()
    for number in range(5):
        batch.add(envelope(number))
    assert (owner.submitted, owner.holder) == ([], batch)
    owner.end_turn()
    owner.end_turn()

    assert (owner.submitted, owner.holder) == ([[0, 1, 2, 3, 4]], None)


def test_a_large_batch_does_not_wait_for_the_end_of_the_turn() -> None:
    """Large in items, or in bytes."""
    owner = Owner()
    batch = owner.batch()
    for number in range(ITEMS_MAX + 1):
        batch.add(envelope(number))
    assert [len(items) for items in owner.submitted] == [ITEMS_MAX]
    batch.add(envelope(1000, BYTES_MAX + 1))
    assert [len(items) for items in owner.submitted] == [ITEMS_MAX, 2]
    owner.end_turn()

    assert [len(items) for items in owner.submitted] == [ITEMS_MAX, 2]


def test_an_empty_batch_hands_over_nothing() -> None:
    """However often it is told to."""
    owner = Owner()
    owner.batch().flush()

    assert owner.submitted == []


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([0, BYTES_MAX // 3])), max_size=60), st.integers(1, 9))
def test_the_order_of_calls_is_the_order_of_handing_over(calls: list[tuple[int, int]], turn: int) -> None:
    """Whichever of several batches they went through, and wherever turns end."""
    owner = Owner()
    batches = [owner.batch() for _ in range(3)]
    for number, (which, size) in enumerate(calls):
        batches[which].add(envelope(number, size))
        assert sum(bool(batch.items) for batch in batches) <= 1
        assert (owner.holder is None) == (not any(batch.items for batch in batches))
        if number % turn == 0:
            owner.end_turn()
    owner.end_turn()

    assert [number for items in owner.submitted for number in items] == list(range(len(calls)))
