"""Which message is meant: what a publish names as its parent, and how that travels."""

from __future__ import annotations

from typing import Annotated

import msgspec

from liminal_mesh.cluster import CHANNEL_SCOPE, Envelope, OptionKey

from .options import read

__all__ = ["Reference", "encode_parent", "parent_of"]


_Name = Annotated[str, msgspec.Meta(max_length=256)]
"""As long as any name: what is remembered of parents must not grow with what programs make up."""


class Reference(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One message of the mesh, as ``message.reference`` returns it: a value that can be kept, compared and sent.

    ``origin`` and ``id`` alone are unique. With ``channel``, ``epoch`` and ``sequence`` whoever gets the channel knows
    whether the message has come. ``scope`` is 0 for what was published on a channel; what was sent to a group bears
    the group's name as its channel.
    """

    channel: _Name
    origin: _Name
    epoch: int
    id: int
    sequence: int
    scope: int = CHANNEL_SCOPE


_decoder = msgspec.msgpack.Decoder(Reference)


def encode_parent(parent: Reference) -> dict[int, msgspec.Raw]:
    """Return the option of an envelope that names the message that has caused it."""
    return {OptionKey.PARENT.value: msgspec.Raw(msgspec.msgpack.encode(parent))}


def parent_of(envelope: Envelope) -> Reference | None:
    """Return the message that an envelope names as its cause, None when it names none.

    Raises:
        ProtocolError: what it names is no reference.
    """
    raw = None if envelope.options is None else envelope.options.get(OptionKey.PARENT)
    return None if raw is None else read(_decoder, raw, "causal parent")
