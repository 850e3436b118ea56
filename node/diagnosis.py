"""Why a mesh has not formed: from what is known of a node's search for others to findings, each with a name.

The facts are those of :func:`.status.discovery`, told by a running node or gathered for one that does not run
(:mod:`.examination`). Nothing is looked up here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from liminal_mesh.cluster import parse_address

__all__ = ["Finding", "Level", "diagnose"]

Level = Literal["problem", "warning", "note"]
"""What stands in the mesh's way; what may, or did not; and what is as it should be."""

SKEW_S: Final = 2.0
"""How far two clocks may be apart: it takes no effort to keep them closer."""


RECENT_S: Final = 60.0
"""Whoever is turned away comes again within seconds; whoever has not come for so long has been mended, or has gone."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found. ``name`` is stable, ``about`` is the seed, address or node that it concerns."""

    name: str
    level: Level
    about: str
    text: str
    advice: str = ""


class _Kind(NamedTuple):
    name: str
    text: str
    advice: str


_LOOKUPS: Final[Mapping[str, _Kind]] = {
    "NXDOMAIN": _Kind("dns-nxdomain", "no such name", "correct the name, or make it known to the DNS server"),
    "timeout": _Kind("dns-timeout", "no DNS server answered in time", "see cluster.dns_servers, and /etc/resolv.conf"),
    "SERVFAIL": _Kind("dns-servfail", "the DNS server failed to answer", "see the DNS server's log"),
    "REFUSED": _Kind("dns-refused", "the DNS server refuses to answer for it", "ask another: cluster.dns_servers"),
}

_DIALS: Final[Mapping[str, _Kind]] = {
    "nothing-listens": _Kind("nothing-listens", "nothing listens there", "start the node, or correct the address"),
    "timeout": _Kind("no-answer", "there was no answer", "the machine is off, or a firewall drops what we send"),
    "unknown-host": _Kind("unknown-host", "the host's name is not known", "correct it, or name an address"),
    "unreachable": _Kind("unreachable", "there is no way to it", "see this machine's network and its routes"),
    "cookie": _Kind("wrong-cookie", "it holds another cookie", "give all nodes one cookie: cluster.cookie_file"),
    "cluster": _Kind("wrong-cluster", "it is of another cluster", "give all nodes one cluster.name"),
    "protocol": _Kind("wrong-version", "it speaks other versions of the protocol", "upgrade the older of the two"),
    "self": _Kind("seed-is-itself", "this is the node itself", "fine, as long as other seeds name other nodes"),
    "name-in-use": _Kind("name-in-use", "a live node bears the same name", "give each node a name of its own"),
    "stale-epoch": _Kind("clock", "a later run of the name is known there", "set the clock, and start the node again"),
    "full": _Kind("full", "it has as many peers as it may", "raise limits.peers there"),
    "leaving": _Kind("leaving", "it is leaving the mesh", "wait until it has been started again"),
}

_NO_HANDSHAKE: Final = _Kind(
    "no-handshake", "something takes the connection, but not as a node would", "is that the port of a node's mesh?"
)

_ALWAYS_PROBLEMS: Final = frozenset({"wrong-cookie", "wrong-cluster", "wrong-version", "name-in-use", "clock"})
"""What is wrong even where enough nodes have found each other."""

_UNTOLD: Final = frozenset({"", "linked", "agreed", "redundant", "passed", "replaced"})
"""Dials that led to a session, or were not needed, or have not ended."""


def diagnose(facts: Mapping[str, Any]) -> list[Finding]:
    """Return what there is to say of these facts, problems first."""
    if facts.get("cluster") is None:
        text, advice = "it has no [cluster] section, so it opens no port for peers", "add [cluster], with seeds"
        return [Finding("no-cluster", "problem", facts["name"], text, advice)]
    level: Level = "warning" if _missing(facts) <= 0 else "problem"
    findings = [
        *_size(facts),
        *_majority(facts),
        *_cut(facts),
        *_seeds(facts, level),
        *_dials(facts, level),
        *_callers(facts, level),
        *_listening(facts),
        *_advertised(facts),
        *_clocks(facts),
        *_channels(facts),
    ]
    order = {"problem": 0, "warning": 1, "note": 2}
    return sorted(dict.fromkeys(findings), key=lambda finding: order[finding.level])


def _found(facts: Mapping[str, Any]) -> list[str]:
    """Return the other nodes that are linked, or would be."""
    linked = {member["name"] for member in facts.get("members", ()) if member["reachable"]} - {facts["name"]}
    agreed = {dial["peer"] for dial in facts["dials"] if dial["code"] == "agreed"}
    return sorted(linked | agreed)


def _missing(facts: Mapping[str, Any]) -> int:
    """Return how many nodes have not been found."""
    found = len(_found(facts))
    # Of a node that does not run only its seeds are known, and any one of them is enough.
    return (facts["expected"] or 2) - 1 - found if "members" in facts else 1 - found


def _size(facts: Mapping[str, Any]) -> Iterator[Finding]:
    found, expected = _found(facts), facts["expected"]
    names = ", ".join(found) or "nobody"
    if _missing(facts) <= 0:
        text = f"it is linked with {names}" if "members" in facts else f"it would be linked with {names}"
        yield Finding("found", "note", facts["name"], text)
    elif found:
        text = f"{1 + len(found)} of {expected} nodes are there: it is linked with {names}"
        yield Finding("too-few", "problem", facts["name"], text, "the findings below say who is not, and why")
    elif not facts["seeds"]:
        text = "it has no seeds, so it waits until others call it"
        level: Level = "problem" if expected else "warning"
        yield Finding("no-seeds", level, facts["name"], text, "name other nodes in cluster.seeds, here or there")
    elif all(dial["code"] == "self" for dial in facts["dials"] if dial["seed"]) and facts["dials"]:
        text = "all its seeds are the node itself"
        yield Finding("only-itself", "problem", facts["name"], text, "name another node in cluster.seeds")
    else:
        yield Finding("alone", "problem", facts["name"], "no seed led to a node of this mesh", "see below")


def _majority(facts: Mapping[str, Any]) -> Iterator[Finding]:
    expected, there = facts["expected"], 1 + len(_found(facts))
    if facts.get("ready") == "majority" and "members" in facts and 2 * there <= (expected or 1):
        text = f"{there} of {expected} nodes are there, and it is not ready without {expected // 2 + 1}"
        yield Finding("no-majority", "problem", facts["name"], text, "on the other side of a cut there may be one")


def _cut(facts: Mapping[str, Any]) -> Iterator[Finding]:
    """Name the members that others see and this node does not."""
    for member in facts.get("members", ()):
        if member.get("state") in {"alive", "suspect"} and not member["reachable"]:
            text = "the mesh holds it for alive, and no link with it stands from here"
            yield Finding("cut-off", "problem", member["name"], text, "see the way between the two machines")


def _seeds(facts: Mapping[str, Any], level: Level) -> Iterator[Finding]:
    for seed in facts["seeds"]:
        failure, about = seed["failure"], seed["seed"]
        if failure:
            known = _LOOKUPS.get(failure)
            name = "dns-no-records" if failure.startswith("no ") else "dns-failed"
            kind = known or _Kind(name, failure, "see what the DNS server holds for it")
            kept = f"; still dialled: {', '.join(seed['addresses'])}" if seed["addresses"] else ""
            yield Finding(kind.name, level, about, f"{kind.text}{kept}", kind.advice)
        elif "://" in about and seed["addresses"]:
            yield Finding("resolved", "note", about, f"it stands for {', '.join(seed['addresses'])}")


def _dials(facts: Mapping[str, Any], level: Level) -> Iterator[Finding]:
    for dial in facts["dials"]:
        if dial["code"] in _UNTOLD:
            continue
        kind = _DIALS.get(dial["code"], _NO_HANDSHAKE)
        peer = f" (node {dial['peer']})" if dial["peer"] and dial["code"] != "self" else ""
        why = "" if dial["code"] == "self" else dial["detail"] or (dial["code"] if kind is _NO_HANDSHAKE else "")
        yield Finding(kind.name, _level(kind, level), dial["address"] + peer, _told(kind.text, why), kind.advice)


def _callers(facts: Mapping[str, Any], level: Level) -> Iterator[Finding]:
    for caller in facts["callers"]:
        if facts["now"] - caller["at"] > RECENT_S:
            continue
        kind = _DIALS.get(caller["code"], _NO_HANDSHAKE)
        about = f"{caller['peer'] or 'somebody'} (says it is at {caller['address'] or 'nowhere'})"
        text = f"it called this node and got no session: {_told(kind.text, caller['reason'])}"
        yield Finding(kind.name, _level(kind, level), about, text, kind.advice)


def _level(kind: _Kind, level: Level) -> Level:
    if kind.name == "seed-is-itself":
        return "note"
    return "problem" if kind.name in _ALWAYS_PROBLEMS else level


def _told(text: str, why: str) -> str:
    return f"{text}: {why}" if why else text


def _listening(facts: Mapping[str, Any]) -> Iterator[Finding]:
    listen = facts.get("listen")
    if listen is None or not listen["failure"]:
        return
    if listen["peer"] == facts["name"]:
        text, advice = "the node runs", "ask it what it sees: liminal doctor --http URL"
        yield Finding("already-running", "note", listen["address"], text, advice)
    else:
        who = f"node {listen['peer']}" if listen["peer"] else "another program"
        text = f"{who} listens there" if listen["failure"] == "in-use" else listen["failure"]
        yield Finding("cannot-listen", "problem", listen["address"], text, "choose another cluster.listen")


def _advertised(facts: Mapping[str, Any]) -> Iterator[Finding]:
    """Judge the trial of the address that peers are told: ``advertised`` is a dial of it, None when there was none."""
    trial, address = facts.get("advertised"), facts["advertise"]
    far = [dial["address"] for dial in facts["dials"] if _far(dial["address"])]
    if far and not _far(address):
        text = f"peers are told to dial it, and on other machines, such as that of {far[0]}, it leads to themselves"
        yield Finding("advertised-loopback", "problem", address, text, "set cluster.advertise")
    if trial is None:
        return
    kind = _DIALS.get(trial["code"])
    if trial["peer"] and trial["peer"] != facts["name"]:
        text = f"peers are told to dial it, and node {trial['peer']} answers there"
        yield Finding("advertised-elsewhere", "problem", address, text, "correct cluster.advertise")
    elif not trial["peer"] and trial["code"] != "agreed":
        text = _told(f"peers are told to dial it, and {(kind or _NO_HANDSHAKE).text}", trial["detail"])
        yield Finding("advertised-unreachable", "problem", address, text, "correct cluster.advertise, or open the way")


def _far(address: str) -> bool:
    """Whether it is another machine's, as far as it can be told: what nodes say of third ones may be no address."""
    try:
        return not parse_address(address).loopback
    except ValueError:
        return False


def _clocks(facts: Mapping[str, Any]) -> Iterator[Finding]:
    """An epoch is the moment of a node's start: one that lies ahead tells of a clock that does not fit."""
    now, asked = facts["now"], facts.get("asked_at")
    if asked is not None and abs(now - asked) > SKEW_S:
        text = f"its clock is {abs(now - asked):.0f} s {'ahead of' if now > asked else 'behind'} this machine's"
        yield Finding("clock", "problem", facts["name"], text, "keep the clocks of all machines in step (NTP)")
    for name, ahead in facts.get("clocks", {}).items():
        if abs(ahead) > SKEW_S:
            text = f"its clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} that of {facts['name']}"
            yield Finding("clock", "problem", name, text, "keep the clocks of all machines in step (NTP)")
    for member in facts.get("members", facts.get("heard", ())):
        ahead = int(member["epoch"]) / 1000 - now
        if ahead > SKEW_S:
            own = member["name"] == facts["name"]
            text = f"epoch {member['epoch']} lies {ahead:.0f} s ahead: " + (
                "this machine's clock has gone back since the node's last start" if own else "the clocks differ"
            )
            yield Finding("clock", "problem", member["name"], text, "keep the clocks of all machines in step (NTP)")


def _channels(facts: Mapping[str, Any]) -> Iterator[Finding]:
    """Tell of what linked nodes have declared otherwise, channel by channel."""
    for one in facts.get("disagreements", ()):
        differ = [
            f"{what} is {one[f'their_{what}']!r} at {one['node']}, and {one[what]!r} here"
            for what in ("schema", "durable")
            if one[what] != one[f"their_{what}"]
        ]
        advice = "declare it alike at all nodes; until then each checks what is published at it by its own declaration"
        yield Finding("channel-disagrees", "warning", one["channel"], "; ".join(differ), advice)
