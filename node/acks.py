"""What a publish may wait for."""

from __future__ import annotations

from typing import Final

from .errors import AckRefused

__all__ = ["ACKS", "check_ack"]

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
