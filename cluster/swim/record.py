"""Which of two records of one name counts: a total order, so that merging is the same in any sequence.

The epoch comes first: a later run beats everything that was said of an earlier one. Within a run, having left is
final. Else the higher incarnation counts, and within one incarnation dead beats suspect beats alive. Since only the
owner raises the incarnation, only the owner can take an accusation back.
"""

from __future__ import annotations

from hashlib import blake2b

from msgspec.structs import replace

from ..swim_frames import Known, MemberRecord, RecordState

__all__ = ["LIVE", "fingerprint", "in_state", "weight"]

LIVE = (RecordState.ALIVE, RecordState.SUSPECT)
"""The states of a member that is probed, counted and asked."""

Weight = tuple[int, bool, int, int]


def weight(record: MemberRecord | Known) -> Weight:
    """Return the rank of a record among those of its name: the higher one counts."""
    return record.epoch, record.state is RecordState.LEFT, record.incarnation, record.state


def in_state(record: MemberRecord, state: RecordState) -> MemberRecord:
    """Return the same run and incarnation in another state."""
    return replace(record, state=state)


def fingerprint(record: MemberRecord) -> int:
    """Return the 64 bits that a record puts into the digest of a view."""
    text = f"{record.name} {record.epoch} {record.incarnation} {record.state:d}"
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")
