"""Three or four process tables whose users do anything while sessions end, on 500 seeds (or ``LIMINAL_SIM_SEEDS``).

After the promises come the defects: each, planted in the shipped code, is found within a few seeds.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from liminal_mesh.cluster.identity import Pid
from liminal_mesh.cluster.process_frames import ProcessExit, ProcessFrame
from liminal_mesh.node.links import LinkIds, Links
from liminal_mesh.node.monitors import Monitors, Watch, Watcher
from liminal_mesh.node.processes import ProcessTable

from .processes_steps import simulate_processes

BLOCK = 250
SEEDS = int(os.environ.get("LIMINAL_SIM_SEEDS", "500"))
SEEDS_MAX = 12
Plant = Callable[[pytest.MonkeyPatch], None]


@pytest.mark.sim
@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_links_and_monitors_hold_across_nodes(first: int) -> None:
    """Nobody ends without a cause or is told twice, and at rest all links are symmetric and all that is due is told."""
    for seed in range(first, min(first + BLOCK, SEEDS)):
        simulate_processes(seed)


def test_a_seed_repeats_exactly() -> None:
    """A failing seed can be looked at again."""
    assert simulate_processes(7) == simulate_processes(7)


def _unlink_without_ids(patch: pytest.MonkeyPatch) -> None:
    """Let an unlink end any link of the two."""

    def ended(self: Links, pid: Pid, other: Pid, _: LinkIds) -> None:
        self.sever(pid, other)

    patch.setattr(Links, "ended", ended)


def _lost_without_links(patch: pytest.MonkeyPatch) -> None:
    """Forget the links when a node is lost."""
    patch.setattr(Links, "abroad", lambda *_: [])


def _lost_without_monitors(patch: pytest.MonkeyPatch) -> None:
    """Forget our watches when a node is lost."""
    patch.setattr(Monitors, "abroad", lambda *_: [])


def _lost_without_watchers(patch: pytest.MonkeyPatch) -> None:
    """Keep a lost node's watches."""
    patch.setattr(Monitors, "forget", lambda *_: None)


def _exit_without_watchers(patch: pytest.MonkeyPatch) -> None:
    """Tell only the watchers of this node."""
    watchers = Monitors.watchers

    def ours(self: Monitors, target: Pid) -> tuple[Watcher, ...]:
        return tuple(watcher for watcher in watchers(self, target) if watcher.node == target.node)

    patch.setattr(Monitors, "watchers", ours)


def _exit_without_peers(patch: pytest.MonkeyPatch) -> None:
    """Tell no other node of an exit."""
    send_to = ProcessTable._send_to

    def silent(self: ProcessTable, pid: Pid, frame: ProcessFrame) -> None:
        if not isinstance(frame, ProcessExit):
            send_to(self, pid, frame)

    patch.setattr(ProcessTable, "_send_to", silent)


def _exit_without_sever(patch: pytest.MonkeyPatch) -> None:
    """Keep the entry of a link whose other process is over."""

    def cut(self: ProcessTable, pid: Pid, other: Pid, reason: str) -> None:
        if other in self.links(pid):
            self._signal(pid, other, reason)

    patch.setattr(ProcessTable, "_cut", cut)


def _down_twice(patch: pytest.MonkeyPatch) -> None:
    """Keep a watch that was told."""

    def take(self: Monitors, ref: int) -> Watch | None:
        return self._watches.get(ref)

    patch.setattr(Monitors, "take", take)


@pytest.mark.sim
@pytest.mark.parametrize(
    "plant",
    [
        _unlink_without_ids,
        _lost_without_links,
        _lost_without_monitors,
        _lost_without_watchers,
        _exit_without_watchers,
        _exit_without_peers,
        _exit_without_sever,
        _down_twice,
    ],
)
def test_a_planted_defect_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """A property of the walk fails, or an assertion of the product does."""
    plant(monkeypatch)

    with pytest.raises(AssertionError, match=r"seed \d+"):
        _hunt()


def _hunt() -> None:
    for seed in range(SEEDS_MAX):
        simulate_processes(seed)
