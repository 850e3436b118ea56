"""Addresses of nodes as clients write them."""

from __future__ import annotations

import pytest

from liminal_mesh.cluster import Address
from liminal_mesh.node.url import DEFAULT_URL, parse_url


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        (DEFAULT_URL, [("127.0.0.1", 7600)]),
        ("liminal://a.example:7600/", [("a.example", 7600)]),
        ("liminal://a:1,b:2,[::1]:3", [("a", 1), ("b", 2), ("::1", 3)]),
    ],
)
def test_each_address_is_read_in_its_order(url: str, addresses: list[tuple[str, int]]) -> None:
    """They are tried in turn."""
    assert parse_url(url) == tuple(Address(*address) for address in addresses)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:7600",
        "http://a:1",
        "liminal://",
        "liminal://a",
        "liminal://a:x",
        "liminal://a:1,",
        "liminal://a:70000",
        "liminal://a..b:7600",
        f"liminal://{'x' * 64}:7600",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    """With what was expected."""
    with pytest.raises(ValueError):
        parse_url(url)


def test_tls_is_named_as_what_is_missing() -> None:
    """Rather than silently left out."""
    with pytest.raises(ValueError, match="TLS"):
        parse_url("liminals://a:1")
