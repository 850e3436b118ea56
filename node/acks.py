"""What a program may wait for, and for how long."""

from __future__ import annotations

from typing import Final

from .errors import AckRefused

__all__ = ["ACKS", "check_ack", "check_timeout", "check_wait"]

ACKS: Final = ("accepted", "nodes")
"""The acknowledgements that an ephemeral channel knows; levels of disks come with durable ones."""


def check_ack(channel: str, ack: object) -> str:
    """Return an acknowledgement as it travels, "" for the channel's own.

    Raises:
        AckRefused: an ephemeral channel knows no such acknowledgement.
    """
    if ack is None or ack == "":
        return ""
    if ack not in ACKS:
        raise AckRefused(channel, str(ack))
    return str(ack)


def check_timeout(timeout_s: float) -> float:
    """Return ``timeout_s`` if it can be one.

    Raises:
        TypeError: it is no number.
    """
    if not isinstance(timeout_s, (int, float)):
        raise TypeError(f"timeout={timeout_s!r}: give a number of seconds")
    return timeout_s


def check_wait(wait: object) -> str:
    """Return what a subscription or a join waits for, as it travels: "" for nobody.

    Raises:
        ValueError: there is no such thing to wait for.
    """
    if wait is None:
        return ""
    if wait != "cluster":
        raise ValueError(f"wait={wait!r}: give 'cluster' to wait for every linked peer, or None")
    return "cluster"
