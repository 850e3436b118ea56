"""Lines of standard input."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liminal_mesh.node.cli import lines
from liminal_mesh.node.cli.lines import AHEAD, CHUNK_BYTES, read_lines


@pytest.fixture
def pipe() -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """Both ends of a pipe."""
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb", 0) as one, os.fdopen(writer, "wb", 0) as other:
        yield one, other


async def all_lines(descriptor: int) -> list[bytes]:
    """Return all of them."""
    async with asyncio.timeout(10):
        return [line async for line in read_lines(descriptor)]


@given(
    st.lists(st.binary(max_size=9).filter(lambda line: b"\n" not in line and not line.endswith(b"\r"))), st.booleans()
)
def test_lines_are_what_stands_between_their_ends(written: list[bytes], ended: bool) -> None:
    """However long the pieces are in which they are read; an empty one is one too, but for the last without an end."""
    reader, writer = os.pipe()
    os.write(writer, b"\n".join(written) + b"\n" * (ended and bool(written)))
    os.close(writer)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "CHUNK_BYTES", 3)
        found = asyncio.run(all_lines(reader))
    os.close(reader)
    assert found == (written if ended or not written or written[-1] else written[:-1])


async def test_only_so_much_is_read_ahead(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    """The rest waits where it comes from."""
    reader, writer = pipe
    taken = read_lines(reader.fileno())
    written = 0

    def write() -> None:
        nonlocal written
        while written < 4 * AHEAD * CHUNK_BYTES:
            written += writer.write(b"x\n" * 1000) or 0
        writer.close()

    writing = asyncio.create_task(asyncio.to_thread(write))
    assert await anext(taken) == b"x"
    await asyncio.sleep(0.2)
    assert written < 3 * AHEAD * CHUNK_BYTES
    rest = [line async for line in taken]
    await writing
    assert len(rest) + 1 == written // 2


async def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """And no end."""
    folder = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(IsADirectoryError):
        await all_lines(folder)
    os.close(folder)
