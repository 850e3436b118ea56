"""What a seed may look like."""

from __future__ import annotations

import re

import pytest

from liminal_mesh.cluster.seeds import Seed, parse_dns_server, parse_seed


def test_the_three_forms_of_a_seed() -> None:
    """An address, a name for addresses, a name for a service."""
    assert parse_seed("[::1]:7601") == Seed("[::1]:7601", "static", "::1", 7601)
    assert parse_seed("dns://mesh.internal:7601") == Seed("dns://mesh.internal:7601", "dns", "mesh.internal", 7601)
    assert parse_seed("srv://_mesh._tcp.example.org.")[1:] == ("srv", "_mesh._tcp.example.org.", 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("b", "expected host:port"),
        ("b:0", "names no port to dial"),
        ("dns://mesh", "expected host:port"),
        ("dns://mesh:0", "names no port to dial"),
        ("dns://10.0.0.1:7601", "write '10.0.0.1:7601'"),
        ("dns://[::1]:7601", "write '[::1]:7601'"),
        ("dns://me sh:7601", "is no address"),
        ("dns://a..b:7601", "no host can be called"),
        (f"dns://{'x' * 64}:7601", "no host can be called"),
        (f"dns://{'x.' * 130}y:7601", "no name that can be looked up"),
        ("srv://_mesh._tcp.example.org:7601", "the records of the service tell it"),
        ("srv://mesh.example.org", "names no service"),
        ("srv://", "no name that can be looked up"),
        ("http://mesh:7601", "is no seed"),
    ],
)
def test_what_is_no_seed_is_refused_with_what_to_write(text: str, said: str) -> None:
    """Before anything is looked up."""
    with pytest.raises(ValueError, match=re.escape(said)):
        parse_seed(text)


def test_a_name_counts_as_far_unless_its_text_says_otherwise() -> None:
    """Whether a cookie is demanded cannot wait for an answer."""
    texts = ("localhost:1", "dns://localhost:1", "127.0.0.1:1", "dns://mesh:1", "srv://_mesh._tcp.localhost", "b:1")
    assert [parse_seed(text).loopback for text in texts] == [True, True, True, False, False, False]


def test_dns_servers_are_addresses() -> None:
    """A server that is a name would have to be looked up itself."""
    texts = ("10.0.0.2", "127.0.0.1:5353", "::1", "[::1]:53")
    assert [parse_dns_server(text) for text in texts] == ["10.0.0.2:53", "127.0.0.1:5353", "[::1]:53", "[::1]:53"]
    for text in ("ns.example.org", "10.0.0.2:0", "10.0.0.2:", "", "ns:53"):
        with pytest.raises(ValueError, match="no DNS server"):
            parse_dns_server(text)
