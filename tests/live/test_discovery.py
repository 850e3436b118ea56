"""Real nodes that know one name, and a real DNS server whose answers change."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..dns.server import DnsServer
from .processes import Serve, mesh_words

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

HOST = "mesh.test"
SERVICE = "_mesh._tcp.test"


@pytest.fixture
def server() -> Iterator[DnsServer]:
    """A DNS server that knows no name yet."""
    with DnsServer() as running:
        yield running


def free_port(*hosts: str) -> int:
    """Return a port that is free on each of these addresses."""
    for _ in range(100):
        sockets = [socket.socket() for _ in hosts]
        try:
            sockets[0].bind((hosts[0], 0))
            port: int = sockets[0].getsockname()[1]
            for other, host in zip(sockets[1:], hosts[1:], strict=True):
                other.bind((host, port))
        except OSError:
            continue
        else:
            return port
        finally:
            for one in sockets:
                one.close()
    raise AssertionError(f"no port is free on {hosts}")


class Mesh:
    """Nodes on loopback addresses of their own, which look names up at one server."""

    def __init__(self, server: DnsServer, folder: Path) -> None:
        self.folder = folder
        self.env = {
            "LIMINAL_CLUSTER__DNS_SERVERS": server.address,
            "LIMINAL_CLUSTER__ALLOW_INSECURE_PEERS": "true",
        }

    def node(self, name: str, seed: str, mesh: str = "127.0.0.1:0", **more: str) -> Serve:
        """Start a node with one seed."""
        words = mesh_words(self.folder, [seed])
        words[words.index("--mesh") + 1] = mesh
        return Serve(name, *words, env={**self.env, **more})


def services(*nodes: Serve) -> dict[str, Any]:
    """Return a zone in which the service stands for these nodes."""
    ports = [int(node.addresses["mesh"].rpartition(":")[2]) for node in nodes]
    return {SERVICE: {"SRV": [[0, 0, port, "host.test"] for port in ports]}, "host.test": {"A": ["127.0.0.1"]}}


def test_three_nodes_find_each_other_by_the_addresses_of_a_name(server: DnsServer, tmp_path: Path) -> None:
    """Each is one of the addresses itself; the name has no IPv6 addresses."""
    hosts = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    port = free_port(*hosts)
    server.zone({HOST: {"A": hosts}})
    mesh, seed = Mesh(server, tmp_path), f"dns://{HOST}:{port}"

    with (
        mesh.node("a", seed, f"127.0.0.1:{port}") as a,
        mesh.node("b", seed, f"127.0.0.2:{port}") as b,
        mesh.node("c", seed, f"127.0.0.3:{port}") as c,
    ):
        a.linked("b", "c")
        b.linked("a", "c")
        c.linked("a", "b")
        assert a.event("seed_resolved")["seed"] == seed


def test_three_nodes_find_each_other_by_a_service_that_names_them_later(server: DnsServer, tmp_path: Path) -> None:
    """They start, serve and say once why they are alone; then the answer changes, and again for the third."""
    mesh, seed = Mesh(server, tmp_path), f"srv://{SERVICE}"
    with mesh.node("a", seed) as a, mesh.node("b", seed) as b:
        assert a.event("seed_unresolved")["reason"] == "NXDOMAIN"
        server.zone(services(a, b))
        a.linked("b")
        b.linked("a")
        assert sum("seed_unresolved" in line for line in a.err) == 1

        env = {"LIMINAL_CLUSTER__EXPECTED": "3"}
        with mesh.node("c", seed, **env) as c:  # nobody knows it, and it knows the others
            c.linked("a", "b")


def test_a_node_that_is_added_later_is_found_when_the_answer_names_it(server: DnsServer, tmp_path: Path) -> None:
    """It has no seeds of its own; those that expect it look for it."""
    mesh, seed, env = Mesh(server, tmp_path), f"srv://{SERVICE}", {"LIMINAL_CLUSTER__EXPECTED": "3"}
    with mesh.node("a", seed, **env) as a, mesh.node("b", seed, **env) as b:
        server.zone(services(a, b))
        a.linked("b")
        with Serve("c", *mesh_words(tmp_path)) as c:
            server.zone(services(a, b, c))
            a.linked("c")
            b.linked("c")
            c.linked("a", "b")


def test_all_seeds_are_down_and_then_up(server: DnsServer, tmp_path: Path) -> None:
    """No server, no name, nobody at the address, somebody at another: the node serves all the while, and keeps on."""
    mesh, seed = Mesh(server, tmp_path), f"srv://{SERVICE}"
    server.zone({SERVICE: "silent"})
    with mesh.node("a", seed) as a:
        assert a.event("seed_unresolved", reason="timeout")
        server.zone({SERVICE: "servfail"})
        assert a.event("seed_unresolved", reason="SERVFAIL")
        server.zone(
            {SERVICE: {"SRV": [[0, 0, free_port("127.0.0.1"), "host.test"]]}, "host.test": {"A": ["127.0.0.1"]}}
        )
        assert a.event("seed_resolved")
        with mesh.node("b", seed) as b:
            server.zone(services(b))
            a.linked("b")
            b.linked("a")


def test_a_name_of_the_hosts_file_is_a_seed(server: DnsServer, tmp_path: Path) -> None:
    """Whatever a DNS server says of it."""
    port = free_port("127.0.0.1")
    mesh = Mesh(server, tmp_path)
    with (
        mesh.node("a", f"dns://localhost:{port}", f"127.0.0.1:{port}") as a,
        mesh.node("b", f"dns://localhost:{port}") as b,
    ):
        b.linked("a")
        a.linked("b")


def test_a_node_whose_seeds_fail_is_not_ready_if_it_has_to_join(server: DnsServer, tmp_path: Path) -> None:
    """And says which of them fails, and why."""
    import json
    import urllib.error
    import urllib.request

    mesh = Mesh(server, tmp_path)
    with mesh.node("a", f"srv://{SERVICE}", LIMINAL_CLUSTER__READY="joined") as a:
        a.event("seed_unresolved")
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"http://{a.addresses['http']}/ready", timeout=10)
        with caught.value as answer:
            conditions = {one["name"]: one for one in json.loads(answer.read())["conditions"]}

        assert conditions["membership"]["unresolved"] == {f"srv://{SERVICE}": "NXDOMAIN"}
        with urllib.request.urlopen(f"http://{a.addresses['http']}/api/v1/events", timeout=10) as answer:
            kinds = [event["kind"] for event in json.load(answer)["events"]]
        assert kinds.count("seed_unresolved") == 1
