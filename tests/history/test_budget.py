"""The checker is fast enough for long runs: a million events in half a minute."""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec
import pytest

from .check import check
from .history import History
from .story import Story

PROVE = bool(os.environ.get("LIMINAL_PROVE"))
EVENTS = 1_000_000 if PROVE else 100_000
BUDGET_S = 30.0 * EVENTS / 1_000_000


@pytest.mark.timeout(300)
def test_a_million_events_are_read_and_checked_within_half_a_minute(tmp_path: Path) -> None:
    """Two nodes and eight subscriptions, with gaps; the default run takes a tenth, in three times its share."""
    story = Story()
    a, b = story.node("a"), story.node("b")
    story.linked(a, b)
    subscriptions = [node.subscribe(pattern, wait="cluster") for node in (a, b) for pattern in ("c", "*", ">", "c")]
    number = 0
    while len(story.events) < EVENTS:
        number += 1
        message = (a, b)[number % 2].publish(client=f"client{number % 10}{number % 2}")
        (b, a)[number % 2].arrive((a, b)[number % 2], message)
        for place, one in enumerate(subscriptions):
            if (number + place) % 50:
                one.got(message)
            else:
                one.gap(message)
    for one in subscriptions:
        one.settle()
    encode = msgspec.json.Encoder().encode
    path = tmp_path / "long.jsonl"
    path.write_bytes(b"".join(encode(event) + b"\n" for event in story.events))

    begin = time.process_time()
    report = check(History.read([path]))
    seconds = time.process_time() - begin

    assert not report.violations, str(report)
    print(f"{len(story.events)} events in {seconds:.1f} s")
    assert seconds < (BUDGET_S if PROVE else 3 * BUDGET_S)
