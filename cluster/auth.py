"""How two nodes prove to each other that they hold the same cookie, without saying it.

Each node derives a key from its cookie and the name of its cluster (HKDF-SHA256, RFC 5869). Each side of a
connection then sends a MAC over its role, everything both have said so far, and the hash of the listener's
certificate. The role is part of it, so that nobody can send our own proof back to us; both sides' random
numbers are, so that a recorded proof is worthless; and so is every field, so that nothing on the way was altered.

A MAC proves only how a connection starts. Off loopback the rest is for TLS to protect.

A node without a cookie (legal on loopback) derives its key from an empty one: that proves the name of the
cluster and nothing else.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import Final, Literal

from .errors import CookieRejected

__all__ = ["COOKIE_BYTES_MIN", "Role", "Secret", "check_cookie", "derive_key", "hkdf_sha256", "mac", "mac_matches"]

COOKIE_BYTES_MIN: Final = 32
"""What guessing offline cannot reach: whoever may dial us obtains material to guess on."""

DISTINCT_MIN: Final = 10
"""Random text of 32 characters practically never has fewer different ones; typed filler has."""

REPEAT_MAX: Final = 16
"""A cookie made of a shorter piece again and again is only as good as the piece."""

WELL_KNOWN: Final = frozenset(
    {
        "admin",
        "beamrcookie",
        "changeit",
        "changeme",
        "cookie",
        "default",
        "erlang",
        "liminal",
        "liminalcookie",
        "monster",
        "nocookie",
        "password",
        "secret",
        "secretcookie",
        "test",
    }
)
"""Cookies that shipped as somebody's default, reduced to their letters (CouchDB's ``monster`` was CVE-2022-24706)."""

_LABEL: Final = b"liminal-v1"

Role = Literal["dialler", "listener"]
"""Which side of a connection a proof is for."""


class Secret:
    """A value that must not show in a log, a trace or an error: it prints as ``***``."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        """Return the value itself; whoever calls this answers for where it goes."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    __hash__ = None  # type: ignore[assignment]  # a hash would tell equal secrets from different ones

    def __reduce__(self) -> str:
        raise TypeError("a secret is not written anywhere")


def check_cookie(cookie: bytes) -> None:
    """Refuse a cookie that somebody could guess.

    Raises:
        CookieRejected: it is well known, too short, or too regular.
    """
    letters = "".join(character for character in cookie.decode("latin-1").lower() if character.isalnum())
    if _piece(letters) in WELL_KNOWN:
        raise CookieRejected("is a well-known one")
    if len(cookie) < COOKIE_BYTES_MIN:
        raise CookieRejected(f"has {len(cookie)} bytes, and {COOKIE_BYTES_MIN} are the least")
    if len(set(cookie)) < DISTINCT_MIN or len(_piece(letters)) < min(REPEAT_MAX, len(letters)):
        raise CookieRejected("is too regular to be random")


def _piece(text: str) -> str:
    """Return the shortest text of which ``text`` is a repetition."""
    return text[: (text + text).find(text, 1)] if text else text


def hkdf_sha256(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """Derive ``length`` bytes (at most 8160) of key from a secret, as RFC 5869 says."""
    assert 0 < length <= 255 * 32
    pseudo_random = hmac.digest(salt or bytes(32), secret, sha256)
    key = block = b""
    for counter in range(1, -(-length // 32) + 1):
        block = hmac.digest(pseudo_random, block + info + bytes([counter]), sha256)
        key += block
    return key[:length]


def derive_key(cookie: bytes, cluster: str) -> bytes:
    """Return the key of a cluster's links: another cluster with the same cookie has another key."""
    return hkdf_sha256(cookie, cluster.encode(), b"liminal link", 32)


def mac(key: bytes, role: Role, transcript: bytes, certificate: bytes = b"") -> bytes:
    """Return the proof of ``role``: over all that was said, and the listener's certificate (DER) if there is one."""
    bound = sha256(certificate or b"").digest()
    return hmac.digest(key, b"|".join((_LABEL, role.encode(), transcript + bound)), sha256)


def mac_matches(proof: bytes, key: bytes, role: Role, transcript: bytes, certificate: bytes = b"") -> bool:
    """Whether ``proof`` is the one for these arguments, found in the same time whatever it is."""
    return hmac.compare_digest(proof, mac(key, role, transcript, certificate))
