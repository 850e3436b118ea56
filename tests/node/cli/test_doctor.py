"""``liminal doctor`` against real nodes and a real DNS server: each cause by its name, both ways of asking."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from liminal_mesh.node.cli import doctor
from liminal_mesh.node.config import NodeConfig
from liminal_mesh.node.node import Node as RealNode

from ...dns.server import DnsServer
from .conftest import Node, Ran, Run
from .live_node import LiveNodes, live_nodes

COOKIE = "0123456789abcdef" * 4
OTHER_COOKIE = "fedcba9876543210" * 4
PATIENCE_S = 10.0


@pytest.fixture(scope="module")
def server() -> Iterator[DnsServer]:
    """One DNS server; each test puts its own zone in force."""
    with DnsServer() as running:
        yield running


@pytest.fixture
def nodes() -> Iterator[LiveNodes]:
    """Nodes on loopback."""
    with live_nodes() as running:
        yield running


class Mesh:
    """Makes configurations of one mesh, for nodes that run and for files of those that do not."""

    def __init__(self, folder: Path, server: DnsServer, nodes: LiveNodes) -> None:
        self.folder = folder
        self._server = server
        self._nodes = nodes

    def values(self, node: str, *seeds: str, cookie: str = COOKIE, **cluster: Any) -> dict[str, Any]:
        """Return a configuration: free ports, and the test's own DNS server."""
        path = self.folder / f"cookie-{cookie[:4]}"
        path.write_text(cookie)
        path.chmod(0o600)
        section = {
            "name": "test",
            "listen": "127.0.0.1:0",
            "seeds": list(seeds),
            "cookie_file": str(path),
            "dns_servers": [self._server.address],
            "allow_insecure_peers": True,
        }
        free = {"listen": "127.0.0.1:0"}
        return {"name": node, "client": free, "http": free, "cluster": {**section, **cluster}}

    def start(self, node: str, *seeds: str, data_dir: Path | None = None, **cluster: Any) -> RealNode:
        """Start a node."""
        return self._nodes.start(NodeConfig(**self.values(node, *seeds, **cluster), data_dir=data_dir))

    def file(self, node: str, *seeds: str, **cluster: Any) -> str:
        """Write the file of a node."""
        values = self.values(node, *seeds, **cluster)
        lines = [f"name = {json.dumps(values.pop('name'))}"]
        for section, keys in values.items():
            lines += [f"[{section}]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items())]
        path = self.folder / f"{node}.toml"
        path.write_text("\n".join(lines))
        return str(path)


@pytest.fixture
def mesh(tmp_path: Path, server: DnsServer, nodes: LiveNodes) -> Mesh:
    """Configurations, in a folder of this test."""
    return Mesh(tmp_path, server, nodes)


def at(node: RealNode, kind: str = "mesh") -> str:
    """Return where a node listens."""
    return str(node.addresses[kind])


def found(ran: Ran, level: str = "problem") -> set[str]:
    """Return the names of the findings of a level."""
    assert ran.code == (3 if any(one["level"] == "problem" for one in ran.document["findings"]) else 0), ran
    return {one["name"] for one in ran.document["findings"] if one["level"] == level}


def ask(run: Run, node: RealNode, *wanted: str) -> None:
    """Ask a running node until it has found these problems and no others: what it dials takes a moment."""
    deadline = time.monotonic() + PATIENCE_S
    while (names := found(run("doctor", "--http", at(node, "http"), "--json"))) != set(wanted):
        assert time.monotonic() < deadline, f"node {node.name} has {names}, and not {set(wanted)}"
        time.sleep(0.02)


def nobody() -> str:
    """Return an address where nothing listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{one.getsockname()[1]}"


def test_a_mesh_that_formed_has_no_problem(run: Run, mesh: Mesh) -> None:
    """Exit code 0, for those who run and for one that would join."""
    a = mesh.start("a")
    b = mesh.start("b", at(a))

    ask(run, a)
    ask(run, b)
    ran = run("doctor", "--config", mesh.file("c", at(a), at(b)), "--json")
    assert found(ran) == set()
    assert ran.document["ok"] is True
    assert [one["text"] for one in ran.document["findings"]] == ["it would be linked with a, b"]
    assert {member.name for member in a.running.members()} == {"a", "b"}
    assert {str(event["kind"]) for event in a.running.hub.events} == {"link_up", "member_alive"}
    ask(run, a)  # and the node has not been called by anyone, as far as it is concerned


def test_a_human_gets_lines_and_a_summary(run: Run, mesh: Mesh) -> None:
    """Data on stdout, the rest on stderr."""
    gone = nobody()
    ran = run("doctor", "--config", mesh.file("a", gone))

    assert ran.code == 3
    lines = [line.split("\t") for line in ran.out.splitlines()]
    assert [line[:3] for line in lines] == [["problem", "alone", "a"], ["problem", "nothing-listens", gone]]
    assert ran.err == "node a: 2 problems\n"


def test_another_cookie(run: Run, mesh: Mesh) -> None:
    """Both sides know of it, and so does a file."""
    a = mesh.start("a")
    b = mesh.start("b", at(a), cookie=OTHER_COOKIE)

    ask(run, b, "alone", "wrong-cookie")
    ask(run, a, "wrong-cookie")
    ran = run("doctor", "--config", mesh.file("c", at(a), cookie=OTHER_COOKIE), "--json")
    assert found(ran) == {"alone", "wrong-cookie"}
    assert ran.document["findings"][1]["about"] == f"{at(a)} (node a)"


def test_another_cluster(run: Run, mesh: Mesh) -> None:
    """Whatever its cookie."""
    a = mesh.start("a")
    b = mesh.start("b", at(a), name="elsewhere")

    ask(run, b, "alone", "wrong-cluster")
    ask(run, a, "wrong-cluster")
    assert found(run("doctor", "--config", mesh.file("c", at(a), name="elsewhere"), "--json")) == {
        "alone",
        "wrong-cluster",
    }


def test_nothing_listens(run: Run, mesh: Mesh) -> None:
    """At the only seed; beside one that answers it is a warning."""
    a = mesh.start("a", nobody())

    ask(run, a, "alone", "nothing-listens")
    ran = run("doctor", "--config", mesh.file("c", nobody(), at(a)), "--json")
    assert (found(ran), found(ran, "warning")) == (set(), {"nothing-listens"})


def test_something_else_listens(run: Run, mesh: Mesh) -> None:
    """It takes the connection, and says nothing that a node would."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        assert found(run("doctor", "--config", mesh.file("c", address), "--json")) == {"alone", "no-handshake"}
    a = mesh.start("a")
    assert found(run("doctor", "--config", mesh.file("c", at(a, "http")), "--json")) == {"alone", "no-handshake"}


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        (None, "dns-nxdomain"),
        ("silent", "dns-timeout"),
        ("servfail", "dns-servfail"),
        ("refused", "dns-refused"),
        ({}, "dns-no-records"),
    ],
    ids=str,
)
def test_a_name_that_cannot_be_looked_up(run: Run, mesh: Mesh, server: DnsServer, entry: object, name: str) -> None:
    """By what the DNS server answers, or that it does not."""
    server.zone({} if entry is None else {"mesh.test": entry})
    a = mesh.start("a", "dns://mesh.test:7601")

    ask(run, a, "alone", name)
    assert found(run("doctor", "--config", mesh.file("c", "dns://mesh.test:7601"), "--json")) == {"alone", name}


def test_a_host_whose_name_nobody_knows(run: Run, mesh: Mesh) -> None:
    """A seed without a scheme is looked up by the system, when it is dialled."""
    ran = run("doctor", "--config", mesh.file("c", "liminal.invalid:7601"), "--json")

    said = found(ran) - {"alone", "advertised-loopback"}
    assert said in ({"unknown-host"}, {"no-answer"})  # the second if this machine's own DNS servers are slow


def test_the_answers_of_the_dns_server_are_shown(run: Run, mesh: Mesh, server: DnsServer) -> None:
    """Each question, with what came of it."""
    a = mesh.start("a")
    port = int(at(a).rpartition(":")[2])
    server.zone({"_mesh._tcp.test": {"SRV": [[0, 0, port, "a.test"]]}, "a.test": {"A": ["127.0.0.1"]}})
    ran = run("doctor", "--config", mesh.file("c", "srv://_mesh._tcp.test"), "--json")

    assert found(ran) == set()
    assert found(ran, "note") == {"found", "resolved"}
    answers = ran.document["facts"]["seeds"][0]["answers"]
    assert [(one["name"], one["kind"], len(one["records"])) for one in answers] == [
        ("_mesh._tcp.test", "SRV", 1),
        ("a.test", "A", 1),
        ("a.test", "AAAA", 0),
    ]


def test_a_seed_that_is_the_node_itself(run: Run, mesh: Mesh, server: DnsServer) -> None:
    """Running or not, and whichever way its seed leads there."""
    own = nobody()
    server.zone({"mesh.test": {"A": ["127.0.0.1"]}})
    seed = f"dns://mesh.test:{own.rpartition(':')[2]}"
    still = run("doctor", "--config", mesh.file("a", seed, listen=own), "--json")
    assert (found(still), found(still, "note")) == ({"only-itself"}, {"seed-is-itself", "resolved"})

    a = mesh.start("a", seed, listen=own)
    ask(run, a, "only-itself")
    ran = run("doctor", "--config", mesh.file("a", seed, listen=own), "--json")
    assert (found(ran), found(ran, "note")) == ({"only-itself"}, {"seed-is-itself", "already-running", "resolved"})


def test_a_name_that_another_node_bears(run: Run, mesh: Mesh, server: DnsServer) -> None:
    """At the seed itself; and a member tells of a namesake of a peer that called."""
    from liminal_mesh.cluster import NameInUse

    a = mesh.start("a")
    assert found(run("doctor", "--config", mesh.file("a", at(a)), "--json")) == {"alone", "name-in-use"}
    mesh.start("b", at(a))
    server.zone({"mesh.test": {"A": ["127.0.0.1"]}})
    with pytest.raises(NameInUse):  # a start waits until those behind a name were dialled, too
        mesh.start("b", f"dns://mesh.test:{at(a).rpartition(':')[2]}")

    ask(run, a, "name-in-use")


def test_an_advertised_address_that_leads_elsewhere(run: Run, mesh: Mesh) -> None:
    """To nobody, or to another node: the two cannot find each other, and all others have links with both."""
    a, gone = mesh.start("a"), nobody()
    b = mesh.start("b", at(a), advertise=gone)
    c = mesh.start("c", at(a), advertise=at(a))

    ask(run, b, "advertised-unreachable", "cut-off")
    ask(run, c, "advertised-elsewhere", "cut-off")
    ask(run, a)


def test_a_clock_that_went_back(run: Run, mesh: Mesh) -> None:
    """The kept epoch lies ahead; the node takes the next one all the same, and others see it."""
    folder = mesh.folder / "data"
    folder.mkdir()
    ahead = int(time.time() * 1000) + 3_600_000
    (folder / "node.json").write_text(json.dumps({"name": "a", "epoch": str(ahead)}))
    a = mesh.start("a", data_dir=folder)
    b = mesh.start("b", at(a))

    ask(run, a, "clock")
    ask(run, b, "clock")
    assert found(run("doctor", "--config", mesh.file("c", at(a)), "--json")) == {"clock"}


@pytest.mark.parametrize(("now", "asked_at"), [(1003.0, 1003.0), (1090.0, 1020.0), (910.0, 1000.0)])
def test_an_answer_that_takes_its_time_is_no_clock_that_differs(
    run: Run, node: Node, monkeypatch: pytest.MonkeyPatch, now: float, asked_at: float
) -> None:
    """The node may have looked at its clock at any moment from the question to the answer: only the rest is told."""
    times = iter([1000.0, 1020.0])
    monkeypatch.setattr(doctor, "time", SimpleNamespace(time=lambda: next(times)))
    node.answers["/api/v1/discovery"] = 200, {"name": "a", "epoch": "1", "now": now, "cluster": None}
    ran = run("doctor", "--http", node.url, "--json")
    assert (found(ran), ran.document["facts"]["asked_at"]) == ({"no-cluster"}, asked_at)


def test_a_port_that_is_taken(run: Run, mesh: Mesh) -> None:
    """By another node, or an address that is none of this machine's."""
    a = mesh.start("a")
    b = mesh.start("b", at(a))

    assert found(run("doctor", "--config", mesh.file("c", at(a), listen=at(b)), "--json")) == {"cannot-listen"}
    assert found(run("doctor", "--config", mesh.file("c", at(a), listen="192.0.2.1:7601"), "--json")) == {
        "cannot-listen"
    }


def test_a_node_without_a_mesh(run: Run, nodes: LiveNodes, tmp_path: Path) -> None:
    """There is no port for peers."""
    free = {"listen": "127.0.0.1:0"}
    a = nodes.start(NodeConfig.model_validate({"client": free, "http": free}))
    (tmp_path / "a.toml").write_text('name = "a"\n')

    ask(run, a, "no-cluster")
    assert found(run("doctor", "--config", str(tmp_path / "a.toml"), "--json")) == {"no-cluster"}


def test_a_wrong_configuration_is_the_first_finding(run: Run, tmp_path: Path) -> None:
    """Exit code 2, each problem with its path."""
    path = tmp_path / "a.toml"
    path.write_text('[cluster]\nseeds = ["dns://mesh"]\ncookie_file = "nowhere"\n')

    ran = run("doctor", "--config", str(path), "--json")
    assert ran.code == 2
    assert ran.document["ok"] is False
    assert {one["about"] for one in ran.document["findings"]} == {"cluster.seeds[0]", "cluster.cookie_file"}
    assert {one["name"] for one in ran.document["findings"]} == {"config"}
    ran = run("doctor", "--config", str(path))
    assert (ran.code, ran.out) == (2, "")
    assert "cluster.seeds[0]" in ran.err


def test_no_node_and_two_ways_at_once(run: Run, node: Node) -> None:
    """Nobody there is 1, a contradiction is 2."""
    ran = run("doctor", "--http", nobody())
    assert ran.code == 1
    assert "--config FILE examines a node that does not run" in ran.err
    assert run("doctor", "--config", "a.toml", "--http", node.url).code == 2
