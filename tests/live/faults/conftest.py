"""What the live tests start with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .fleet import Fleet


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    """Processes that end with the test."""
    async with Fleet(tmp_path) as fleet:
        yield fleet
