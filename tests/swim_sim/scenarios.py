"""Faults of the network in our own target table, each as one run of the shipped machine: seconds, or counts."""

from __future__ import annotations

from .mesh import MeshNode
from .watch import Watch, formed, is_dead, whole_after

__all__ = ["deaf", "flip", "half", "half_mesh", "hole", "hour", "lifted", "pair", "proxy", "rest", "unplugged"]


def _sides(nodes: list[MeshNode], smaller: int) -> tuple[list[str], list[str]]:
    """The two sides of a partition, the larger one first."""
    names = [node.name for node in nodes]
    return names[smaller:], names[:smaller]


def hole(seed: int, count: int) -> dict[str, float]:
    """A black hole parts the mesh in two for 30 s."""
    mesh, nodes = formed(seed, count)
    larger, smaller = _sides(nodes, count // 2)
    watch = Watch(mesh)
    mesh.part(larger, smaller)
    mesh.run(30)
    found = {
        "majority": watch.last(set(smaller), set(larger), is_dead),
        "minority": watch.last(set(larger), set(smaller), is_dead),
    }
    mesh.heal()
    return {**found, "heal": whole_after(mesh, 60)}


def proxy(seed: int, count: int) -> dict[str, float]:
    """A proxy between the two sides is switched off for 30 s: links are closed, and dials too."""
    mesh, nodes = formed(seed, count)
    larger, smaller = _sides(nodes, (count - 1) // 2)
    watch = Watch(mesh)
    mesh.part(larger, smaller, cut=True)
    mesh.run(30)
    found = {"majority": watch.last(set(smaller), set(larger), is_dead)}
    mesh.heal()
    return {**found, "heal": whole_after(mesh, 60)}


def lifted(seed: int, count: int, *, cut: bool) -> dict[str, float]:
    """A partition of 10, 30 or 60 s, by black holes or a proxy, and its end."""
    mesh, nodes = formed(seed, count)
    larger, smaller = _sides(nodes, count // 2)
    mesh.part(larger, smaller, cut=cut)
    mesh.run((10, 30, 60)[seed % 3])
    mesh.heal()
    return {"heal": whole_after(mesh, 60)}


def hour(seed: int, count: int, *, seeds_across: bool) -> dict[str, float]:
    """A black hole of an hour; the seeds of a side are on the other, or on the same."""
    mesh, nodes = formed(seed, count)
    larger, smaller = _sides(nodes, count // 2)
    for node in nodes:
        inside, outside = (larger, smaller) if node.name in larger else (smaller, larger)
        node.do(node.swim.seeds([(outside if seeds_across else inside)[0]], mesh.clock.now))
    mesh.part(larger, smaller)
    mesh.run(3600)
    mesh.heal()
    return {"heal": whole_after(mesh, 120)}


def pair(seed: int, count: int, *, cut: bool) -> dict[str, float]:
    """One pair is parted for a minute, while all others see both."""
    mesh, nodes = formed(seed, count)
    one, two = nodes[0].name, nodes[1].name
    watch = Watch(mesh)
    mesh.part([one], [two], cut=cut)
    mesh.run(60)
    return {"suspected": watch.count("suspect", not_by={one, two}), "false": watch.count("dead")}


def deaf(seed: int, count: int, *, mute: bool) -> dict[str, float]:
    """Nothing comes to one node, or nothing from it, for 20 s."""
    mesh, nodes = formed(seed, count)
    victim, others = nodes[-1].name, {node.name for node in nodes[:-1]}
    watch = Watch(mesh)
    for other in others:
        mesh.hole(*((victim, other) if mute else (other, victim)))
    mesh.run(20)
    dead, false = watch.last({victim}, others, is_dead), watch.count("dead", not_about={victim}, not_by={victim})
    mesh.heal()
    return {"dead": dead, "false": false, "heal": whole_after(mesh, 30)}


def flip(seed: int, count: int) -> dict[str, float]:
    """One node is cut off for 20 s, and is there for 20 s, three times."""
    mesh, nodes = formed(seed, count)
    victim, others = nodes[-1].name, [node.name for node in nodes[:-1]]
    watch = Watch(mesh)
    for _ in range(3):
        for other in others:
            mesh.hole(other, victim)
        mesh.run(20)
        mesh.heal()
        mesh.run(20)
    return {"false": watch.count("dead", not_about={victim}, not_by={victim}), "heal": whole_after(mesh, 30)}


def half(seed: int, count: int, *, cut: bool) -> dict[str, float]:
    """One node is parted from half of the others for a minute."""
    mesh, nodes = formed(seed, count)
    victim, others = nodes[-1].name, [node.name for node in nodes[:-1]]
    watch = Watch(mesh)
    mesh.part([victim], others[: max(1, len(others) // 2)], cut=cut)
    mesh.run(60)
    mesh.heal()
    return {"false": watch.count("dead"), "heal": whole_after(mesh, 30)}


def half_mesh(seed: int, count: int, *, cut: bool) -> dict[str, float]:
    """Every second pair is parted for a minute; a ring of links stands, so that there is a way to everybody."""
    mesh, nodes = formed(seed, count)
    watch, names = Watch(mesh), [node.name for node in nodes]
    for number, name in enumerate(names):
        for other in names[number + 1 :]:
            neighbours = (names.index(other) - number) % count in {1, count - 1}
            if not neighbours and mesh.clock.rng.random() < 0.5:
                mesh.part([name], [other], cut=cut)
    mesh.run(60)
    mesh.heal()
    return {"false": watch.count("dead"), "heal": whole_after(mesh, 30)}


def unplugged(seed: int, count: int) -> dict[str, float]:
    """One node's own kernel knows no way out for a minute: every dial fails here, and nothing comes or goes."""
    mesh, nodes = formed(seed, count)
    victim, others = nodes[-1], {node.name for node in nodes[:-1]}
    watch = Watch(mesh)
    mesh.unplug(victim)
    mesh.run(60)
    found = {
        "dead": watch.last({victim.name}, others, is_dead),
        "unreachable": watch.last(others, {victim.name}, lambda change: not (change.after and change.after.reachable)),
        "believed": sum(member.state == "alive" for member in victim.swim.members()) - 1,
        "false": watch.count("dead", not_about={victim.name}, not_by={victim.name}),
    }
    mesh.heal()
    return {**found, "heal": whole_after(mesh, 30)}


def rest(seed: int, count: int, *, loss: float) -> dict[str, float]:
    """Nothing happens for a minute, but that packets are lost."""
    mesh, _ = formed(seed, count, loss)
    mesh.run(10)
    watch, before = Watch(mesh), mesh.sent_bytes
    mesh.run(60)
    return {"bytes": (mesh.sent_bytes - before) / count / 60, "false": watch.count("dead")}
