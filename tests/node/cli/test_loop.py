"""The loop that verbs run on."""

import asyncio
import os
import signal
import sys

import pytest

from liminal_mesh.node.cli.loop import run_async


async def loop_of_a_verb() -> str:
    return type(asyncio.get_running_loop()).__module__


def test_a_verb_runs_on_uvloop_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """And on Python's own loop where it is not."""
    pytest.importorskip("uvloop")
    assert run_async(loop_of_a_verb()) == "uvloop"

    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert run_async(loop_of_a_verb()).startswith("asyncio")


def test_an_interrupted_verb_may_still_say_how_far_it_came() -> None:
    """It is cancelled, and the interrupt goes on afterwards."""
    said: list[str] = []

    async def verb() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await asyncio.Event().wait()
        finally:
            said.append("3 messages so far")

    with pytest.raises(KeyboardInterrupt):
        run_async(verb())

    assert said == ["3 messages so far"]
