"""What holds for every hostile input: no exception reaches the loop, however bad it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from ...nodes import DEADLINE_S


@pytest_asyncio.fixture(autouse=True)
async def nothing_unhandled() -> AsyncIterator[list[dict[str, Any]]]:
    """Fail a test in which a callback or a task of the nodes broke; the nodes run in the test's own loop."""
    unhandled: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unhandled.append(context))
    yield unhandled
    assert not unhandled


@pytest.fixture
def cookie_file(tmp_path: Path) -> Path:
    """Return a file with a good cookie."""
    path = tmp_path / "cookie"
    path.write_bytes(COOKIE)
    path.chmod(0o600)
    return path


COOKIE = b"0f1e2d3c4b5a69788796a5b4c3d2e1f00123456789abcdef0123456789abcdef"
"""A good cookie."""

OTHER_COOKIE = COOKIE[::-1]
"""Another one."""


async def logged(caplog: pytest.LogCaptureFixture, event: str, **wanted: object) -> dict[str, Any]:
    """Wait for a log line of an event with these fields, and return all its fields."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            for record in caplog.records:
                fields = getattr(record, "fields", {})
                if record.getMessage().startswith(event) and wanted.items() <= fields.items():
                    return dict(fields)
            await asyncio.sleep(0.01)
