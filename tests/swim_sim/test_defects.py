"""Tests of the simulator: each defect, planted in the shipped machine, is found within a few seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from liminal_mesh.cluster.swim import DialAddress, exchange, judge, succession
from liminal_mesh.cluster.swim.evidence import Evidence
from liminal_mesh.cluster.swim.exchange import Exchange
from liminal_mesh.cluster.swim.judge import Judge
from liminal_mesh.cluster.swim.probe import Prober
from liminal_mesh.cluster.swim.redial import Redial
from liminal_mesh.cluster.swim.roster import Roster
from liminal_mesh.cluster.swim.rumours import Rumours
from liminal_mesh.cluster.swim.suspicion import Suspicion
from liminal_mesh.cluster.swim_frames import MemberRecord, RecordState

from .chaos import chaos
from .lives import stop
from .mesh import Mesh
from .scenarios import flip, pair

SEEDS_MAX = 25
Plant = Callable[[pytest.MonkeyPatch], None]


def _without_incarnations(patch: pytest.MonkeyPatch) -> None:
    """Take whatever was said last of a run for what counts."""

    def newer(record: object) -> tuple[int, int]:
        return record.epoch, record.state != RecordState.ALIVE  # type: ignore[attr-defined]

    for module in (judge, exchange):
        patch.setattr(module, "weight", newer)


def _without_epochs(patch: pytest.MonkeyPatch) -> None:
    """Order records by incarnation, whichever run they are of."""

    def runless(record: object) -> tuple[int, int]:
        return record.incarnation, record.state  # type: ignore[attr-defined]

    for module in (judge, exchange):
        patch.setattr(module, "weight", runless)


def _without_refutation(patch: pytest.MonkeyPatch) -> None:
    """Let accusations of ourselves pass."""
    patch.setattr(Judge, "_about_us", lambda *_: None)


def _without_redial(patch: pytest.MonkeyPatch) -> None:
    """Forget the dead: nobody dials them."""
    changed = Redial.changed

    def living_only(self: Redial, name: str, before: object, after: object, now: float) -> None:
        changed(self, name, before, None if after is None or after.state == "dead" else after, now)  # type: ignore

    patch.setattr(Redial, "changed", living_only)
    patch.setattr(Redial, "seeds", _seed_once)


def _seed_once(redial: Redial, addresses: Iterable[str], _: float) -> None:
    if not redial._seeds:
        redial._seeds = tuple(addresses)
        redial._board.out += [DialAddress(address, "", 1.0) for address in redial._seeds]


def _without_expiry(patch: pytest.MonkeyPatch) -> None:
    """Suspect for ever."""
    patch.setattr(Suspicion, "plan", lambda self, *_: setattr(self, "deadline", self.started + 1e9))


def _without_succession(patch: pytest.MonkeyPatch) -> None:
    """Refuse every later run of a name that is known."""
    patch.setattr(succession.Succession, "holds_back", lambda self, new, _: new.name in self._board.roster)


def _with_endless_rumours(patch: pytest.MonkeyPatch) -> None:
    """Tell every rumour for ever."""
    patch.setattr(Rumours, "limit", lambda *_: 10**9)


def _with_belief_in_links(patch: pytest.MonkeyPatch) -> None:
    """Take the greeting on a link for the last word about its sender."""

    def believe(self: Judge, record: MemberRecord, now: float) -> None:
        self._adopt(record, self._board.roster.get(record.name), now)

    patch.setattr(Judge, "meet", believe)


def _without_tombstones(patch: pytest.MonkeyPatch) -> None:
    """Forget who died at once, so that old words bring it back."""
    convict = Judge.convict

    def forget(self: Judge, name: str, now: float) -> None:
        convict(self, name, now)
        if name in self._board.roster:
            self._board.drop(name)

    patch.setattr(Judge, "convict", forget)


def _without_reasons(patch: pytest.MonkeyPatch) -> None:
    """Convict whoever's link is lost."""
    patch.setattr(Evidence, "_weigh", lambda self, name, now: self._judge.convict(name, now))


def _with_stale_digests(patch: pytest.MonkeyPatch) -> None:
    """Leave in the digest what is not in the table any more."""
    count = Roster._count

    def forgetful(self: Roster, record: MemberRecord | None, change: int) -> None:
        digest = self.digest
        count(self, record, change)
        self.digest = digest if change < 0 else self.digest

    patch.setattr(Roster, "_count", forgetful)


@pytest.mark.sim
@pytest.mark.parametrize(
    "plant",
    [
        _without_incarnations,
        _without_epochs,
        _without_refutation,
        _without_redial,
        _without_expiry,
        _without_succession,
        _with_endless_rumours,
        _with_belief_in_links,
        _without_tombstones,
        _without_reasons,
        _with_stale_digests,
    ],
)
def test_a_planted_defect_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """A property of the simulator fails, or an assertion of the product does."""
    plant(monkeypatch)

    with pytest.raises(AssertionError, match=r"seed \d+"):
        _hunt()


def _hunt() -> None:
    for seed in range(SEEDS_MAX):
        chaos(seed)


def test_without_a_veto_whoever_comes_back_kills(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that was cut off brings death notices; that nobody believes them is what the veto is for."""
    assert flip(0, 10)["false"] == 0

    monkeypatch.setattr(Judge, "_vetoed", lambda *_: False)

    assert flip(0, 10)["false"] > 0


def test_without_an_objection_a_cut_pair_kills(monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken links convict only by agreement: a proxy between two looks like two dead processes."""
    assert pair(0, 5, cut=True) == {"suspected": 0, "false": 0}

    monkeypatch.setattr(Evidence, "_weigh", lambda self, name, now: self._judge.convict(name, now))

    assert pair(0, 5, cut=True)["false"] > 0


def test_without_probes_the_silent_live_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stopped process resets no link: only a probe can tell."""
    assert stop(0, 5)["dead"] < 4.5

    monkeypatch.setattr(Prober, "_finish", lambda self, *_: self._succeed())

    assert stop(0, 5)["dead"] > 30


def test_without_digests_what_was_missed_stays_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A member that one view lacks is found by the digest on the next acks."""

    def mended() -> bool:
        mesh = Mesh(0)
        nodes = mesh.form(4)
        nodes[0].swim._board.drop("n3")
        mesh.run(4)
        return "n3" in nodes[0].states()

    assert mended()

    monkeypatch.setattr(Exchange, "digest_seen", lambda *_: None)

    assert not mended()
