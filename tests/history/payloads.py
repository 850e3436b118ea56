"""Payloads of which each is unique and proves its own content."""

from __future__ import annotations

import hashlib
import secrets

__all__ = ["digest", "nonce", "payload", "read"]

SIZE = 160


def nonce() -> str:
    """Return a nonce."""
    return secrets.token_hex(8)


def payload(client: str, n: int, nonce: str, size: int = SIZE) -> bytes:
    """Return the content of a client's publish ``n``: who and what it is, then bytes that are derived from that."""
    head = f"{client}|{n}|{nonce}|".encode()
    derived = hashlib.sha256(head).hexdigest().encode()
    return (head + derived * (size // len(derived) + 1))[: max(size, len(head) + len(derived))]


def read(body: bytes) -> tuple[str, int, str]:
    """Return client, number and nonce of a content; ``("", 0, "")`` when it is none of ours."""
    parts = body.split(b"|", 3)
    if len(parts) != 4 or not parts[1].isdigit():
        return "", 0, ""
    try:
        return parts[0].decode(), int(parts[1]), parts[2].decode()
    except UnicodeDecodeError:
        return "", 0, ""


def digest(body: bytes) -> str:
    """Return what stands for a content in a history."""
    return hashlib.sha256(body).hexdigest()[:24]
