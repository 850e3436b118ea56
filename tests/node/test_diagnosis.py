"""From facts to findings: each cause has a name, and what stands in the way is told from what does not."""

from __future__ import annotations

from typing import Any

import pytest

from liminal_mesh.node.diagnosis import diagnose

NOW = 1_800_000_000.0
STATES = ("alive", "suspect", "dead", "left")


def member(name: str, *, reachable: bool = True, started: float = NOW - 10) -> dict[str, Any]:
    """Return a member as a node shows it."""
    return {"name": name, "epoch": str(int(started * 1000)), "reachable": reachable}


def dial(address: str, code: str, *, peer: str = "", detail: str = "", seed: bool = True) -> dict[str, Any]:
    """Return the end of a dial."""
    return {"address": address, "seed": seed, "peer": peer, "code": code, "detail": detail}


def facts(**more: Any) -> dict[str, Any]:
    """Return what node ``a`` tells of itself, alone and without seeds."""
    plain = {"name": "a", "cluster": "test", "now": NOW, "advertise": "127.0.0.1:7601", "expected": None}
    return {**plain, "members": [member("a")], "seeds": [], "dials": [], "callers": [], **more}


def names(found: dict[str, Any], level: str) -> list[str]:
    """Return the names of the findings of a level."""
    return [finding.name for finding in diagnose(found) if finding.level == level]


def test_a_node_without_a_mesh_says_so() -> None:
    """There is nothing else to look at."""
    assert names({"name": "a", "cluster": None, "now": NOW}, "problem") == ["no-cluster"]


def test_a_mesh_that_is_whole_has_no_problem() -> None:
    """Whoever cannot be reached beside it is a warning."""
    whole = facts(
        members=[member("a"), member("b")],
        seeds=[{"seed": "dns://mesh:1", "addresses": ["127.0.0.1:1"], "failure": ""}],
        dials=[dial("127.0.0.1:1", "linked", peer="b"), dial("127.0.0.1:2", "nothing-listens")],
    )

    assert names(whole, "problem") == []
    assert names(whole, "warning") == ["nothing-listens"]
    assert names(whole, "note") == ["found", "resolved"]
    assert names({**whole, "expected": 3}, "problem") == ["too-few", "nothing-listens"]


def test_nobody_to_look_for_is_a_problem_only_where_somebody_is_expected() -> None:
    """A first node waits to be called."""
    assert (names(facts(), "problem"), names(facts(), "warning")) == ([], ["no-seeds"])
    assert names(facts(expected=3), "problem") == ["no-seeds"]


@pytest.mark.parametrize(
    ("failure", "name"),
    [
        ("NXDOMAIN", "dns-nxdomain"),
        ("timeout", "dns-timeout"),
        ("SERVFAIL", "dns-servfail"),
        ("REFUSED", "dns-refused"),
        ("no A and no AAAA records", "dns-no-records"),
        ("Misformatted domain name", "dns-failed"),
    ],
)
def test_each_failure_of_a_lookup_has_a_name(failure: str, name: str) -> None:
    """And what is dialled all the same is told."""
    seed = {"seed": "dns://mesh:1", "addresses": ["127.0.0.1:1"], "failure": failure}
    lonely = facts(seeds=[seed], dials=[dial("127.0.0.1:1", "nothing-listens")])

    assert names(lonely, "problem") == ["alone", name, "nothing-listens"]
    assert "still dialled: 127.0.0.1:1" in diagnose(lonely)[1].text


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("nothing-listens", "nothing-listens"),
        ("timeout", "no-answer"),
        ("unknown-host", "unknown-host"),
        ("unreachable", "unreachable"),
        ("cookie", "wrong-cookie"),
        ("cluster", "wrong-cluster"),
        ("protocol", "wrong-version"),
        ("name-in-use", "name-in-use"),
        ("stale-epoch", "clock"),
        ("full", "full"),
        ("leaving", "leaving"),
        ("closed by the other side", "no-handshake"),
        ("no progress in state 'welcome'", "no-handshake"),
    ],
)
def test_each_end_of_a_dial_has_a_name(code: str, name: str) -> None:
    """The same for whom we dial and for who calls us; what is wrong in any mesh is a problem in a whole one too."""
    seeds = [{"seed": "127.0.0.1:1", "addresses": ["127.0.0.1:1"], "failure": ""}]
    caller = {"peer": "x", "address": "127.0.0.1:9", "code": code, "reason": "", "at": NOW - 1}
    grave = {"wrong-cookie", "wrong-cluster", "wrong-version", "name-in-use", "clock"}
    two = [member("a"), member("b")]

    assert names(facts(seeds=seeds, dials=[dial("127.0.0.1:1", code)]), "problem") == ["alone", name]
    assert names(facts(seeds=seeds, callers=[caller]), "problem") == ["alone", name]
    assert names(facts(members=two, callers=[caller]), "problem") == ([name] if name in grave else [])
    assert names(facts(members=two, callers=[{**caller, "at": NOW - 3600}]), "problem") == []


def test_dials_that_were_not_needed_are_no_findings() -> None:
    """Nor those that have not ended."""
    dials = [dial("127.0.0.1:1", code) for code in ("", "redundant", "passed", "replaced")]
    assert [finding.name for finding in diagnose(facts(members=[member("a"), member("b")], dials=dials))] == ["found"]


def test_a_seed_that_is_the_node_itself_is_no_harm_beside_others() -> None:
    """Alone it is."""
    seed = {"seed": "127.0.0.1:7601", "addresses": ["127.0.0.1:7601"], "failure": ""}
    lonely = facts(seeds=[seed], dials=[dial("127.0.0.1:7601", "self", peer="a", detail="the very node that dialled")])

    assert names(lonely, "problem") == ["only-itself"]
    (note,) = (finding for finding in diagnose(lonely) if finding.level == "note")
    assert (note.name, note.text) == ("seed-is-itself", "this is the node itself")
    both = {**lonely, "members": [member("a"), member("b")]}
    assert (names(both, "problem"), names(both, "note")) == ([], ["found", "seed-is-itself"])


@pytest.mark.parametrize(
    ("trial", "found"),
    [
        ({"code": "cookie", "detail": "", "peer": "a"}, []),
        ({"code": "agreed", "detail": "", "peer": "a"}, []),
        ({"code": "nothing-listens", "detail": "Connection refused", "peer": ""}, ["advertised-unreachable"]),
        ({"code": "cookie", "detail": "", "peer": "z"}, ["advertised-elsewhere"]),
        (None, []),
    ],
    ids=str,
)
def test_the_advertised_address_has_to_lead_to_the_node(trial: dict[str, str] | None, found: list[str]) -> None:
    """Whether the cookie fits is no matter there."""
    assert names(facts(advertised=trial), "problem") == found


def test_loopback_is_nothing_to_tell_other_machines() -> None:
    """They would dial themselves."""
    far = facts(members=[member("a"), member("b")], dials=[dial("10.0.0.7:7601", "linked", peer="b")])

    assert names(far, "problem") == ["advertised-loopback"]
    assert names({**far, "advertise": "10.0.0.6:7601"}, "problem") == []


def test_a_dial_of_what_is_no_address_is_told_as_any_other() -> None:
    """Gossip may hold anything for the address of a third node."""
    odd = facts(dials=[dial("no address", "unreachable", peer="z")])

    assert "unreachable" in names(odd, "problem")


def test_clocks_that_do_not_fit_are_told_by_epochs_and_by_what_time_it_is() -> None:
    """A node that started in the future, our own kept epoch, and a node whose time is not ours."""
    two = facts(members=[member("a"), member("b", started=NOW + 3600)])
    assert names(two, "problem") == ["clock"]
    assert "lies 3600 s ahead: the clocks differ" in diagnose(two)[0].text
    assert "has gone back" in diagnose(facts(members=[member("a", started=NOW + 60)]))[0].text
    assert "60 s ahead of this machine's" in diagnose(facts(asked_at=NOW - 60))[0].text
    assert "60 s behind this machine's" in diagnose(facts(asked_at=NOW + 60))[0].text
    assert names(facts(asked_at=NOW + 1), "problem") == []
    apart = facts(members=[member("a"), member("b")], clocks={"b": -90.0, "c": 1.5})
    assert [(one.name, one.about) for one in diagnose(apart) if one.level == "problem"] == [("clock", "b")]
    assert "90 s behind that of a" in diagnose(apart)[0].text


def test_a_node_that_waits_for_a_majority_says_how_many_it_lacks() -> None:
    """Half of the expected nodes is not enough."""
    two = facts(members=[member("a"), member("b")], ready="majority", expected=4)
    assert names(two, "problem")[:2] == ["too-few", "no-majority"]
    assert "without 3" in diagnose(two)[1].text
    assert "no-majority" not in names({**two, "expected": 3}, "problem")
    assert "no-majority" not in names({**two, "ready": "joined"}, "problem")


def test_a_member_that_others_see_and_this_node_does_not_is_named() -> None:
    """The dead and the departed are not missed."""
    cut = [member(name, reachable=False) | {"state": state} for name, state in zip("bcde", STATES, strict=True)]
    found = [one for one in diagnose(facts(members=[member("a"), *cut])) if one.name == "cut-off"]

    assert [one.about for one in found] == ["b", "c"]


def test_of_a_node_that_does_not_run_any_one_seed_is_enough() -> None:
    """How many are expected shows only when it runs."""
    seeds = [{"seed": at, "addresses": [at], "failure": ""} for at in ("127.0.0.1:1", "127.0.0.1:2")]
    listen = {"address": "127.0.0.1:7601", "failure": "", "peer": ""}
    still = facts(seeds=seeds, expected=5, listen=listen, heard=[{"name": "b", "epoch": "1"}])
    del still["members"]
    dials = [dial("127.0.0.1:1", "agreed", peer="b"), dial("127.0.0.1:2", "timeout")]

    assert names({**still, "dials": dials}, "problem") == []
    assert names({**still, "dials": dials[1:]}, "problem") == ["alone", "no-answer"]
    assert names({**still, "heard": [{"name": "b", "epoch": str(int(NOW * 1000) + 9000)}]}, "problem")[-1] == "clock"


@pytest.mark.parametrize(
    ("failure", "peer", "name", "text"),
    [
        ("in-use", "a", "already-running", "the node runs"),
        ("in-use", "b", "cannot-listen", "node b listens there"),
        ("in-use", "", "cannot-listen", "another program listens there"),
        ("Cannot assign requested address", "", "cannot-listen", "Cannot assign requested address"),
    ],
)
def test_where_it_could_not_listen_is_told(failure: str, peer: str, name: str, text: str) -> None:
    """That it runs already is no problem."""
    found = diagnose(facts(listen={"address": "127.0.0.1:7601", "failure": failure, "peer": peer}))

    assert [(one.text, one.level == "problem") for one in found if one.name == name] == [
        (text, name == "cannot-listen")
    ]
