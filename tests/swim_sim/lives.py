"""What may happen to processes in our own target table, each as one run of the shipped machine: seconds, or counts."""

from __future__ import annotations

from .mesh import Mesh, MeshNode
from .watch import UNSEEN_S, Watch, formed, is_dead, state, whole_after

__all__ = ["blocked", "clock", "join", "kill", "stalled", "starved", "stop"]


def kill(seed: int, count: int) -> dict[str, float]:
    """One process is killed."""
    mesh, nodes = formed(seed, count)
    victim, others = nodes[-1], {node.name for node in nodes[:-1]}
    watch = Watch(mesh)
    mesh.crash(victim)
    mesh.run(20)
    return {
        "unreachable": watch.last({victim.name}, others, lambda change: not (change.after and change.after.reachable)),
        "dead": watch.last({victim.name}, others, is_dead),
    }


def stop(seed: int, count: int) -> dict[str, float]:
    """One process is stopped for 30 s, and continued."""
    mesh, nodes = formed(seed, count)
    victim, others = nodes[-1], {node.name for node in nodes[:-1]}
    watch = Watch(mesh)
    victim.stop()
    mesh.run(30)
    dead = watch.last({victim.name}, others, is_dead)
    watch = Watch(mesh)
    victim.resume()
    alive = whole_after(mesh, 20)
    mesh.run(10)
    return {"dead": dead, "alive": alive, "false": watch.count("dead", not_about={victim.name})}


def blocked(seed: int, count: int) -> dict[str, float]:
    """One process neither sends nor reads for 30 s, while its timers run."""
    mesh, nodes = formed(seed, count)
    victim, others = nodes[-1], {node.name for node in nodes[:-1]}
    watch = Watch(mesh)
    victim.block()
    mesh.run(30)
    dead = watch.last({victim.name}, others, is_dead)
    victim.recover()
    alive = whole_after(mesh, 20)
    mesh.run(10)
    return {"dead": dead, "alive": alive, "false": watch.count("dead", not_about={victim.name}, not_by={victim.name})}


def starved(seed: int, count: int) -> dict[str, float]:
    """A tenth of the processes, one at least, read what has come only every 0.5 to 2.5 s, for a minute."""
    mesh, nodes = formed(seed, count)
    hungry = nodes[: max(1, count // 10)]
    names = {node.name for node in hungry}
    watch = Watch(mesh)
    for node in hungry:
        node.starve()
    mesh.run(60)
    for node in hungry:
        node.recover()
    healed = whole_after(mesh, 20)
    return {"false": watch.count("dead", not_about=names), "deaths": watch.count("dead"), "heal": healed}


def stalled(seed: int, count: int, *, most_s: float) -> dict[str, float]:
    """A quarter of the processes, one at least, is stopped again and again for 0.2 s or longer, for two minutes."""
    mesh, nodes = formed(seed, count)
    victims = nodes[: max(1, count // 4)]
    watch, rng, end = Watch(mesh), mesh.clock.rng, mesh.clock.now + 120

    def pause(node: MeshNode) -> None:
        node.stop()
        mesh.clock.at(mesh.clock.now + rng.uniform(0.2, most_s), go_on, node)

    def go_on(node: MeshNode) -> None:
        node.resume()
        if mesh.clock.now < end:
            mesh.clock.at(mesh.clock.now + rng.uniform(0.2, most_s), pause, node)

    for node in victims:
        mesh.clock.at(mesh.clock.now + rng.uniform(0, most_s), pause, node)
    mesh.run(120 + 2 * most_s)
    names = {node.name for node in victims}
    return {"false": watch.count("dead", not_about=names), "deaths": watch.count("dead"), "heal": whole_after(mesh, 20)}


def join(seed: int, count: int) -> dict[str, float]:
    """Bulk start; one more node joins; it is killed and started again; it leaves."""
    mesh = Mesh(seed)
    nodes = [mesh.add(f"n{number}", "n0 n1") for number in range(count)]
    bulk = whole_after(mesh, 60)
    mesh.run(5)
    newcomer = mesh.add("late", "n0")
    single = whole_after(mesh, 30)
    mesh.run(5)
    mesh.crash(newcomer)
    mesh.run(0.4)
    again = mesh.add("late", "n1", epoch=2, address="elsewhere")
    restart = whole_after(mesh, 30)
    mesh.run(5)
    watch = Watch(mesh)
    again.do(again.swim.leave(mesh.clock.now))
    mesh.clock.run_until(lambda: again.departed, mesh.clock.now + 5)
    mesh.crash(again)
    mesh.run(5)
    left = watch.last({"late"}, {node.name for node in nodes}, lambda change: state(change) == "left")
    return {"bulk": bulk, "join": single, "restart": restart, "left": left, "false": watch.count("dead")}


def clock(seed: int, count: int) -> dict[str, float]:
    """A node whose clock was ahead dies, and comes back with a clock that is behind, and with nothing kept.

    Nobody's monotonic clock jumps. The run of the lower epoch is turned away, and begins anew above what it was told.
    """
    mesh, _ = formed(seed, count)
    ahead = mesh.add("late", "n0", epoch=10_000)
    assert whole_after(mesh, 30) < UNSEEN_S, f"seed {seed}: no mesh"
    mesh.run(5)
    mesh.crash(ahead)
    mesh.run(mesh.clock.rng.choice((0.0, 0.4, 5.0)))
    begin = mesh.clock.now
    behind = mesh.add("late", "n0", epoch=2)
    turned_away = mesh.clock.run_until(lambda: not behind.alive, begin + 10)
    mesh.add("late", "n1", epoch=10_001)
    again = whole_after(mesh, 30)
    mesh.run(10)
    stays = mesh.whole() and all(node.me.epoch != 2 for node in mesh.nodes.values())
    return {"again": mesh.clock.now - 10 - begin if stays and turned_away and again < UNSEEN_S else UNSEEN_S}
