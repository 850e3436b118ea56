"""Keys, cookies and proofs."""

from __future__ import annotations

import copy
import pickle
import secrets

import pytest

from liminal_mesh.cluster.auth import Secret, check_cookie, derive_key, hkdf_sha256, mac, mac_matches
from liminal_mesh.cluster.errors import CookieRejected

KEY = derive_key(b"k" * 32, "test")


@pytest.mark.parametrize(
    ("secret", "salt", "info", "key"),
    [
        (
            "0b" * 22,
            "000102030405060708090a0b0c",
            "f0f1f2f3f4f5f6f7f8f9",
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            bytes(range(0x50)).hex(),
            bytes(range(0x60, 0xB0)).hex(),
            bytes(range(0xB0, 0x100)).hex(),
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
            "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
        ),
        (
            "0b" * 22,
            "",
            "",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ],
)
def test_keys_are_derived_as_rfc_5869_says(secret: str, salt: str, info: str, key: str) -> None:
    """The three vectors of the RFC's appendix for SHA-256."""
    expected = bytes.fromhex(key)

    assert hkdf_sha256(bytes.fromhex(secret), bytes.fromhex(salt), bytes.fromhex(info), len(expected)) == expected


def test_another_cluster_has_another_key() -> None:
    """The cluster's name is the salt, and without a cookie it is all there is."""
    assert len({derive_key(b"k" * 32, "one"), derive_key(b"k" * 32, "two"), derive_key(b"", "one")}) == 3


def test_a_proof_holds_for_exactly_its_arguments() -> None:
    """Key, role, transcript and certificate are all covered; a proof sent back in the other role is refused."""
    proof = mac(KEY, "dialler", b"said", b"cert")

    assert mac_matches(proof, KEY, "dialler", b"said", b"cert")
    assert not mac_matches(proof, KEY, "listener", b"said", b"cert")
    assert not mac_matches(proof, KEY, "dialler", b"sald", b"cert")
    assert not mac_matches(proof, KEY, "dialler", b"said")
    assert not mac_matches(proof, derive_key(b"k" * 32, "other"), "dialler", b"said", b"cert")
    assert not mac_matches(proof[:-1], KEY, "dialler", b"said", b"cert")


@pytest.mark.parametrize(
    ("cookie", "why"),
    [
        (b"", "0 bytes"),
        (b"beamr-cookie", "well-known"),
        (b"Monster", "well-known"),
        (b"secret", "well-known"),
        (b"change_me\n", "well-known"),
        (b"monster" * 9, "well-known"),
        (b"f3a9c1d27b", "10 bytes"),
        (b"a" * 64, "regular"),
        (b"abababab" * 8, "regular"),
        (b"abcdefghijkl" * 4, "regular"),
        (b"-" * 64, "regular"),
    ],
)
def test_a_cookie_that_can_be_guessed_is_rejected(cookie: bytes, why: str) -> None:
    """Well-known, short and regular cookies are refused, each with its reason."""
    with pytest.raises(CookieRejected, match=why):
        check_cookie(cookie)


def test_random_cookies_are_accepted() -> None:
    """What ``liminal cookie new`` makes passes, and so does any random text of enough bytes."""
    for _ in range(200):
        check_cookie(secrets.token_hex(32).encode())
        check_cookie(secrets.token_urlsafe(32).encode())


def test_a_secret_does_not_show() -> None:
    """Not in a repr, a format or a pickle; and equality still works."""
    secret = Secret(b"hunter2")

    assert (repr(secret), str(secret), f"{secret}") == ("***", "***", "***")
    assert secret == Secret(b"hunter2")
    assert secret != Secret(b"hunter3")
    assert secret.reveal() == b"hunter2"
    for leak in (pickle.dumps, copy.copy, hash):
        with pytest.raises(TypeError):
            leak(secret)
