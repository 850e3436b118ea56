"""What the pages show of programs that hold a bus already: it runs as it stands, within them."""

from __future__ import annotations

import ast
import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

import liminal_mesh
from liminal_mesh.testing import Cluster
from tests.contracts.holders import message

ROOT = Path(__file__).parent.parent.parent
CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)

WHOLE = {"keys.md", "testing.md", "pressure.md", "subscriptions.md"}
"""Their examples together are a file of tests, and run as one (``test_documented``)."""


def fragment(page: str, number: int) -> CodeType:
    """Return a piece of a page, whose ``await`` stands where its reader's would."""
    source = CODE.findall((ROOT / page).read_text())[number]
    code: CodeType = compile(source, f"{page}, example {number}", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    return code


async def run(code: CodeType, names: dict[str, Any]) -> None:
    """Run it with the front door imported, and with what it holds."""
    names |= {name: getattr(liminal_mesh, name) for name in liminal_mesh.__all__}
    await eval(code, names)


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that has no event, in virtual time."""
    while not condition():  # noqa: ASYNC110 - in virtual time, where it costs nothing
        await asyncio.sleep(0.01)


def test_no_example_of_a_page_is_left_out() -> None:
    """Whoever writes one that is run nowhere, hears of it here."""
    there = {
        page.name: len(CODE.findall(page.read_text())) for page in [ROOT / "README.md", *(ROOT / "docs").glob("*")]
    }
    run_here = {"README.md": 2, "channels.md": 1, "members.md": 1, "schemas.md": 1, "tracing.md": 2}

    assert {page: count for page, count in there.items() if count and page not in WHOLE} == run_here


async def test_the_processes_of_the_readme(capsys: pytest.CaptureFixture[str]) -> None:
    """A worker gets what its group is sent, and its end is told."""
    async with Cluster(nodes=2) as cluster:
        names: dict[str, Any] = {"bus": cluster["a"]}
        running = asyncio.create_task(run(fragment("README.md", 1), names))
        await until(lambda: "invoice" in capsys.readouterr().out)
        names["process"].exit("done")
        await running

    assert "Down(" in capsys.readouterr().out


@pytest.fixture
def orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the files that the page of channels names, in the working folder."""
    monkeypatch.chdir(tmp_path)
    properties = {"id": {"type": "integer"}}
    for name in ("order.json", "order-2.json"):
        Path(name).write_text(json.dumps({"type": "object", "properties": properties, "required": ["id"]}))
        properties["note"] = {"type": "string"}


@pytest.mark.usefixtures("orders")
async def test_the_channels_page(capsys: pytest.CaptureFixture[str]) -> None:
    """Created, listed, evolved and closed."""
    async with Cluster(nodes=1, channels=["metrics.>"]) as cluster:
        await run(fragment("docs/channels.md", 0), {"node": cluster["a"]})
        assert [channel.state for channel in cluster["a"].channels.list()] == ["closed", "family"]

    assert "orders open 0 " in capsys.readouterr().out


async def test_the_members_page() -> None:
    """A program that follows it knows at each moment who is there."""
    async with Cluster(nodes=3) as cluster:
        names: dict[str, Any] = {"bus": cluster["a"], "seen": {}}
        running = asyncio.create_task(run(fragment("docs/members.md", 0), names))
        await until(lambda: len(names["seen"]) == 3)
        await cluster.kill("c")
        await until(lambda: names["seen"]["c"].state == "dead")
    await running  # the stream ends with its bus


async def test_the_schemas_page() -> None:
    """The schema of the page completes the first publish, and refuses the second for the reason that it gives."""
    page = (ROOT / "docs/schemas.md").read_text()
    schema = json.loads(re.findall(r"```json\n(.*?)```", page, re.DOTALL)[0])
    orders = liminal_mesh.ChannelConfig(name="orders", schema=schema)
    async with Cluster(nodes=1, channels=[orders]) as cluster, cluster["a"].subscribe("orders") as subscription:
        with pytest.raises(liminal_mesh.SchemaRejected) as refused:
            await run(fragment("docs/schemas.md", 0), {"bus": cluster["a"]})
        item = await message(subscription)

    assert item.payload == {"id": 7, "currency": "EUR"}
    assert f"path {json.dumps(refused.value.path)}, reason '{refused.value.reason}'" in page


async def test_the_tracing_page(capsys: pytest.CaptureFixture[str]) -> None:
    """What follows from a message belongs to its trace; the other piece needs OpenTelemetry, and can be read."""
    trace = liminal_mesh.TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", 1)
    fragment("docs/tracing.md", 1)
    async with Cluster(nodes=1) as cluster:
        bus = cluster["a"]
        async with bus.subscribe("jobs") as jobs, bus.subscribe("done") as done:
            running = asyncio.create_task(run(fragment("docs/tracing.md", 0), {"bus": bus, "jobs": jobs, "result": 1}))
            await bus.publish("jobs", 0, headers=trace.headers())
            assert (await message(done)).trace == trace
        await running

    assert f"{trace.trace_id} {trace.span_id} True" in capsys.readouterr().out
