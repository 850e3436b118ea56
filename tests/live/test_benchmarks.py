"""The benchmarks run: every form of Liminal that is measured, with a handful of messages, and the pipe."""

import json
from typing import Any

import pytest

from benchmarks import features, keys, schemas, stuck
from benchmarks.__main__ import main
from benchmarks.contenders import CONTENDERS, FIGURES
from benchmarks.liminal_embedded import link_ratio
from benchmarks.report import figure_lines, lines, page
from benchmarks.result import Contender, Result

pytestmark = pytest.mark.live
pytest.importorskip("uvloop")


def _results(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    assert main([*words, "--rounds", "1", "--share", "1500", "--json"]) == 0
    results: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["results"]
    return results


def test_every_embedded_form_runs_and_accounts_for_all_messages(capsys: pytest.CaptureFixture[str]) -> None:
    """A run whose deliveries and gaps are not what was published ends with an error, which main would raise."""
    results = _results(capsys, "--only", "liminal embedded")

    assert [one["scenario"] for one in results].count("windowed") == 2
    assert {one["scenario"] for one in results} == {"unconfirmed", "windowed", "fanout", "fanout windowed"}
    assert all(one["rate"] > 0 and set(one["cpu"]) == {"publish", "subscribe"} for one in results)
    assert {one["notes"]["gaps"] for one in results} == {"0"}


def test_clients_on_both_sides_run_as_four_processes(capsys: pytest.CaptureFixture[str]) -> None:
    (result,) = _results(capsys, "--core", "--only", "liminal clients")

    assert set(result["cpu"]) == {"node", "node 2", "subscribe", "publish"}


def test_the_pipe_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (result,) = _results(capsys, "--only", "pipe")

    assert set(result["cpu"]) == {"reader", "writer"}


async def test_bytes_on_the_link_do_not_depend_on_the_number_of_subscribers() -> None:
    """A publish crosses a link once, for one subscriber and for a thousand."""
    ratio, told = await link_ratio()

    assert 0.95 < ratio < 1.05, told


async def test_the_cost_of_each_feature_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over taking the same messages without it."""
    monkeypatch.setattr(features, "BURSTS", 2)

    cost, told = await features.predicate()
    assert cost < 50
    assert set(told) == {"without", "reading the payload", "wanting nothing"}
    cost, told = await features.causal()
    assert cost < 100
    assert set(told) == {"without", "where nobody names a parent"}
    monkeypatch.setattr(keys, "PUBLISHES", 2 * keys.BURST)
    cost, told = await keys.once()
    assert cost < 500
    assert set(told) == {"without", "a duplicate", "a key remembered"}
    monkeypatch.setattr(schemas, "BURSTS", 2)
    cost, told = await schemas.checked()
    assert cost < 200
    assert set(told) == {"without", "putting in a default", "refusing one"}
    cost, told = await features.sharing()
    assert cost < 100
    assert set(told) == {"without", "one member", "one at a time"}


async def test_a_consumer_that_reads_nothing_costs_the_node_little_memory() -> None:
    """P12: and the other one is served meanwhile; the share that it gets is for a machine with nothing else to do."""
    found = await stuck.measure(reading_s=0.5, stuck_s=3.0)

    assert found.growth_bytes < stuck.GROWTH_BYTES_MAX, found
    assert found.offered > 0, found
    assert found.stuck > 0, found
    assert min(found.reading) > 0, found


async def _never(_: int) -> Result:
    raise AssertionError


def test_the_page_shows_medians_ratios_and_what_was_missed() -> None:
    peer = Contender("nats-py", "unconfirmed", _never, 1)
    ours = Contender("ours", "unconfirmed", _never, 1, {"nats-py": 3.0})
    runs = {
        ("unconfirmed", "nats-py"): [Result("nats-py", 1, 1.0, rate) for rate in (90.0, 100.0, 200.0)],
        ("unconfirmed", "ours"): [
            Result("ours", 1, 1.0, 250.0, {"gaps": "0", "inbox": "7"}, {"publish": 0.8}),
            Result("ours", 1, 1.0, 250.0, {"gaps": "3", "inbox": "7"}, {"publish": 0.8}),
        ],
    }
    bound = FIGURES[-1]

    shown = page(lines([peer, ours], runs), figure_lines([bound], {bound.name: [(bound.most * 2, {})]}), {"rounds": 3})

    assert "2.50 x nats-py (aim 3, missed)" in shown
    assert "CPU us: publish 0.8; gaps: 0 | 3; inbox: 7" in shown
    assert f"aim at most {bound.most:g} {bound.unit}, missed" in shown
    assert "rounds: 3" in shown


def test_names_are_unique_in_their_scenario_and_aims_name_others_of_it() -> None:
    rows = {(one.scenario, one.name) for one in CONTENDERS}

    assert len(rows) == len(CONTENDERS)
    assert all((one.scenario, aim) in rows for one in CONTENDERS for aim in one.aims)
