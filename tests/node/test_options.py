"""What other programs have written as msgpack: read, or refused by one error."""

from __future__ import annotations

import msgspec
import pytest

from liminal_mesh.cluster import Envelope, OptionKey, ProtocolError
from liminal_mesh.node.message import encode_headers
from liminal_mesh.node.options import headers_of, read

TEXT = msgspec.msgpack.Decoder(str)


@pytest.mark.parametrize("raw", [b"", b"\xc1", b"\xc0", b"\x07", b"\xa1\xff", b"\xa9short"])
def test_what_is_none_is_said_by_its_name(raw: bytes) -> None:
    """CH10: another type, half of one, nothing at all, or a text that is no UTF-8."""
    assert read(TEXT, b"\xa1x", "name") == "x"
    with pytest.raises(ProtocolError, match="bad name"):
        read(TEXT, raw, "name")


def test_headers_are_a_map_of_texts() -> None:
    """CH6: empty where there are none."""
    given = {"to": "us", "from": ""}
    assert headers_of(Envelope(1, 1, 0, 1, 0, b"", encode_headers(given))) == given
    assert headers_of(Envelope(1, 1, 0, 1, 0, b"")) == {}
    with pytest.raises(ProtocolError, match="bad headers"):
        headers_of(Envelope(1, 1, 0, 1, 0, b"", {OptionKey.HEADERS: msgspec.Raw(b"\x81\xa1h\x01")}))
