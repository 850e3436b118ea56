"""What must hold of every node after each step, whatever happens to the mesh.

A record only gives way to one that counts for more; only its owner raises an incarnation; who has left its epoch stays
so. Nobody is dead whom nobody convicted, and nobody convicts but after a suspicion has run its time, or on the evidence
of a link: there is none, and dials were refused, twice or more. A suspicion ends within the longest there is. Equal
digests are equal tables, and the other way round.
"""

from __future__ import annotations

from collections import Counter

from liminal_mesh.cluster.membership import Member
from liminal_mesh.cluster.swim.record import LIVE, fingerprint, weight
from liminal_mesh.cluster.swim.suspicion import shortest
from liminal_mesh.cluster.swim_frames import MemberRecord

from .mesh import Mesh, MeshNode

__all__ = ["Laws"]

ROUNDING_S = 1e-6
Table = frozenset[tuple[str, int, int, int]]


class Laws:
    """The laws, and what has to be remembered of a mesh to hold it to them."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self._best: dict[tuple[str, int, str], MemberRecord] = {}
        self._convicted: set[tuple[str, int, int]] = set()
        self._tables: dict[int, Table] = {}
        self._digests: dict[Table, int] = {}

    def watch(self, node: MeshNode) -> None:
        """Hold a new node to the laws."""
        judge, swim = node.swim._judge, node.swim
        convict, dial_failed, linked = judge.convict, swim.dial_failed, swim.linked
        refused: Counter[str] = Counter()

        def checked(name: str, now: float) -> None:
            suspicion, record = judge._suspicions.get(name), swim._board.roster.get(name)
            assert record is not None
            overdue = suspicion is not None and suspicion.deadline <= now
            end = node.ends.get(name)
            linked_with_it = end is not None and end.peer.node.me.epoch == record.epoch  # and not with a former run
            proved = refused[name] >= 2 and not linked_with_it
            assert overdue or proved, f"{node.me} convicts {record} without reason: {suspicion}, {refused[name]} dials"
            self._convicted.add((name, record.epoch, record.incarnation))
            convict(name, now)

        def counted(name: str, outcome: str, now: float) -> object:
            refused[name] += outcome in {"refused", "closed"}
            return dial_failed(name, outcome, now)  # type: ignore[arg-type]

        def forgiven(record: MemberRecord, digest: int, now: float) -> object:
            effects = linked(record, digest, now)
            held = swim._board.roster.get(record.name)
            if record.name in swim._board.linked and held is not None and held.epoch == record.epoch:
                refused[record.name] = 0  # it was let in, and not held back
            return effects

        judge.convict = checked  # type: ignore[method-assign]
        swim.dial_failed, swim.linked = counted, forgiven  # type: ignore[method-assign, assignment]

    def changed(self, node: MeshNode, before: Member | None, after: Member) -> None:
        """Check a node whose view has changed."""
        record = node.swim._board.roster.get(after.name)
        assert record is not None
        self._gains(node, record)
        if before is not None and before.state == "left" and before.epoch == after.epoch:
            assert after.state == "left", f"{after} came back at {node.me}, though it has left"
        if after.state == "dead":
            run = (record.name, record.epoch, record.incarnation)
            assert run in self._convicted, f"{record} is dead at {node.me}, and nobody convicted it"
        self._times(node)
        self._digest(node)

    def _gains(self, node: MeshNode, record: MemberRecord) -> None:
        key = (node.name, node.me.epoch, record.name)
        best = self._best.get(key)
        assert best is None or weight(record) >= weight(best), f"{best} was followed by {record} at {node.me}"
        self._best[key] = record
        for owner in self._mesh.nodes.values():
            if owner.name == record.name and owner.me.epoch == record.epoch and owner is not node:
                assert record.incarnation <= owner.swim.record.incarnation, (
                    f"only {owner.me} raises its incarnation: {record}, {owner.swim.record}, told at {node.me}"
                )

    def _times(self, node: MeshNode) -> None:
        """No timer lies further ahead than the longest of its kind, and there is one for each name at most."""
        swim, options = node.swim, self._mesh.options
        for name, suspicion in swim._judge._suspicions.items():
            longest = suspicion.penalty * options.beta * shortest(options, suspicion.live)
            latest = suspicion.started + longest + suspicion.extra_s
            assert suspicion.deadline <= latest + ROUNDING_S, f"{node.me}: {name} for ever"
        names = len(swim._board.roster.names)
        assert len(swim._redial._calls) <= names
        assert len(swim._zombies._zombies) <= names
        assert len(swim._evidence._cases) <= names

    def _digest(self, node: MeshNode) -> None:
        """Equal digests are equal tables, in the whole mesh and for all time."""
        roster = node.swim._board.roster
        live = [record for record in roster.records() if record.state in LIVE]
        table = frozenset((one.name, one.epoch, one.incarnation, int(one.state)) for one in live)
        digest = 0
        for record in live:
            digest ^= fingerprint(record)
        assert roster.digest == digest, f"the digest of {node.me} is not that of its table"
        assert self._tables.setdefault(digest, table) == table, "two tables, one digest"
        assert self._digests.setdefault(table, digest) == digest, "one table, two digests"
