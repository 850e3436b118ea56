"""One seeded walk over a world of process tables: who does what, which sessions end, and what is asserted when."""

from __future__ import annotations

from random import Random
from typing import Final

from liminal_mesh.cluster.identity import Pid
from liminal_mesh.node.errors import LimitExceeded
from liminal_mesh.node.processes import NORMAL

from .processes_world import Failing, Node, ProcessWorld, Watch

__all__ = ["simulate_processes"]

MANY: Final = 1_000_000
_USERS: Final = ("spawn", "exit", "link", "unlink", "relink", "monitor", "demonitor")
_NETWORK: Final = ("connect", "notice", "cut", "restart")


class Walk:
    """A world, and a walk through it.

    Args:
        seed: everything that is drawn comes from it.
    """

    def __init__(self, seed: int) -> None:
        self._rng = Random(seed)
        names = "abcd"[: self._rng.choice((3, 3, 4))]
        # A world in which users may have next to nothing is one in which peers refuse each other's links.
        entries_max = self._rng.choice((MANY, MANY, 3, 6))
        self.world = ProcessWorld(names, entries_max, self._told)
        self.log: list[str] = []
        self._refs: list[tuple[Node, int, Watch]] = []
        self._meddle = self._rng.choice((0.0, 0.0, 0.3))
        self._strange = self._rng.choice((0.0, 0.05, 0.3))
        weights = {action: self._rng.choice((0.0, 1.0, 3.0)) for action in _USERS}
        weights |= {"spawn": self._rng.choice((0.1, 1.0)), "exit": self._rng.choice((0.0, 0.1, 0.5))}
        weights |= {action: self._rng.choice((1.0, 4.0)) for action in ("link", "relink")}
        weights |= {action: self._rng.choice((0.0, 0.05, 0.5)) for action in _NETWORK}
        self._actions = list(weights)
        self._weights = [weights[action] for action in self._actions]
        self._deliveries = self._rng.choice((0.3, 1.0, 4.0))
        self._processes = self._rng.choice((1, 3))
        """With how many processes each node begins; few meet often."""

    def run(self) -> None:
        """Walk, with rests at which all is settled, and look what the last exits bring about."""
        self.world.connect()
        for end in self.world.ends:
            end.advance(self.world.nodes[end.name].table)
        for node in self.world.nodes.values():
            for _ in range(self._processes):
                self.world.spawn(node, traps=False, follows=None)
        for _ in range(self._rng.randrange(1, 8)):
            for _ in range(self._rng.randrange(5, 30)):
                self._step()
            self.world.settle()
            self.world.check_rest()
        if self._rng.random() < 0.7:
            self.world.connect()
        self.world.settle()
        self.world.check_rest()
        self._meddle = 0.0
        for reason in (NORMAL, "error: the last", "error: the very last"):
            self._end(reason)

    def _step(self) -> None:
        (action,) = self._rng.choices(self._actions, self._weights)
        self._act(self._rng.choice(list(self.world.nodes.values())), action)
        for _ in range(round(self._rng.expovariate(1 / self._deliveries))):
            end = self._rng.choice(self.world.ends)
            end.deliver(self.world.nodes[end.name].table, self._rng.randrange(1, 60))
        self.world.validate()

    # --- what happens -------------------------------------------------------------------------------

    def _act(self, node: Node, action: str) -> None:
        self.log.append(f"{node.name} {action}")
        world, rng = self.world, self._rng
        match action:
            case "connect":
                world.connect()
            case "notice":
                end = rng.choice(world.ends)
                end.advance(world.nodes[end.name].table)
            case "cut":
                world.cut(rng.choice(world.ends))
            case "restart":
                world.restart(node)
            case _:
                try:
                    self._use(node, action)
                except LimitExceeded:
                    self.log.append("too many")

    def _use(self, node: Node, action: str) -> None:
        """Let a user of a node do something."""
        world, rng = self.world, self._rng
        own = world.living(node)
        if action == "spawn" or not own:
            follows = rng.choice(own) if own and rng.random() < 0.3 else None
            world.spawn(node, traps=rng.random() < 0.3, follows=follows)
            return
        pid = rng.choice(own)
        match action:
            case "exit":
                reason = NORMAL if rng.random() < 0.3 else f"error: {len(self.log)}"
                world.exit(node, pid, reason)
            case "link":
                world.link(node, pid, self._anybody())
            case "unlink" | "relink":
                linked = [(one, other) for one in own for other in node.table.links(one)]
                if linked:
                    one, other = rng.choice(linked)
                    node.table.unlink(one, other)
                    if action == "relink":
                        world.link(node, one, other)
            case "monitor":
                self._refs.append((node, *world.monitor(node, self._anybody())))
            case "demonitor":
                mine = [each for each in self._refs if each[0] is node and each[2].by == node.me]
                if mine:
                    _, ref, watch = rng.choice(mine)
                    node.table.demonitor(ref)
                    watch.given_up = not watch.told

    def _anybody(self) -> Pid:
        """Return a process: mostly a living one, sometimes one that is over, or that never was."""
        if self._rng.random() >= self._strange:
            return self._rng.choice(self.world.living() or [Pid("a", 1, 99)])
        return self._rng.choice([*self.world.facts.processes, Pid("a", 1, 99), Pid("b", 77, 1)])

    def _told(self, node: Node) -> None:
        """Let whoever was told of an exit do something at once, and perhaps fail."""
        if self._rng.random() < self._meddle:
            self._act(node, self._rng.choice(_USERS))
            if self._rng.random() < 0.3:
                raise Failing

    # --- the end ------------------------------------------------------------------------------------

    def _end(self, reason: str) -> None:
        """End one process when all is quiet: exactly those end with it that must."""
        before = self.world.living()
        if not before:
            return
        most_linked = max(before, key=lambda pid: (len(self._links(pid)), pid))
        doomed = self._doomed(most_linked, reason)
        self.world.exit(self.world.nodes[most_linked.node], most_linked, reason)
        self.world.settle()
        self.world.check_rest()
        for pid in before:
            expected = reason if pid in doomed else None
            seen = self.world.facts.reason(pid)
            assert seen == expected, f"{most_linked} ended with {reason}; {pid}: {seen} instead of {expected}"

    def _doomed(self, first: Pid, reason: str) -> set[Pid]:
        doomed, todo = {first}, [first]
        while todo:
            pid = todo.pop()
            for other in self._links(pid):
                process = self.world.facts.processes[other]
                if process.follows == pid or (reason != NORMAL and not process.traps):
                    todo += [other] if other not in doomed else []
                    doomed.add(other)
        return doomed

    def _links(self, pid: Pid) -> tuple[Pid, ...]:
        return self.world.nodes[pid.node].table.links(pid)


def simulate_processes(seed: int) -> list[str]:
    """Walk through one world; returns what happened.

    Raises:
        AssertionError: something was not as it must be; the text names the seed.
    """
    walk = Walk(seed)
    try:
        walk.run()
    except AssertionError as error:
        raise AssertionError(f"seed {seed}, after {len(walk.log)} steps: {error}") from error
    return walk.log + [f"{pid} {process.reason}" for pid, process in walk.world.facts.processes.items()]
