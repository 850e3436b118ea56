"""``liminal config``."""

from pathlib import Path

import pytest

from .conftest import Run

BAD = """\
nmae = "a"
[[channels]]
name = "orders"
durable = true
"""


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """Return a file with two problems."""
    path = tmp_path / "node.toml"
    path.write_text(BAD)
    return path


def test_a_good_file_has_no_problems(run: Run, tmp_path: Path) -> None:
    """Humans read it on stderr, programs on stdout."""
    path = tmp_path / "node.toml"
    path.write_text('name = "a"\n')

    assert run("config", "check", str(path)).err == f"{path}: no problems\n"
    assert run("config", "check", "--config", str(path), "--json").document == {"ok": True, "problems": []}


def test_all_problems_are_told_with_their_places(run: Run, bad: Path) -> None:
    """Exit code 2."""
    ran = run("config", "check", str(bad))

    assert (ran.code, ran.out) == (2, "")
    assert "node.toml:1: nmae: unknown key; did you mean 'name'?" in ran.err
    assert "node.toml:4: channels[0].durable: durable channels are not available in this version" in ran.err

    ran = run("config", "check", str(bad), "--json")
    assert ran.code == 2
    assert not ran.document["ok"]
    assert {problem["path"] for problem in ran.document["problems"]} == {"nmae", "channels[0].durable"}


def test_what_is_shown_loads_and_tells_origins(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment counts, as it does for a node."""
    monkeypatch.setenv("LIMINAL_LOG__LEVEL", "debug")

    shown = run("config", "show", "--origin").out
    assert "# LIMINAL_LOG__LEVEL" in shown

    path = tmp_path / "node.toml"
    path.write_text(shown)
    monkeypatch.delenv("LIMINAL_LOG__LEVEL")
    document = run("config", "show", str(path), "--json", "--origin").document
    assert document["config"]["log"]["level"] == "debug"
    assert document["origins"]["log.level"].startswith("node.toml:")


def test_a_file_is_named_once(run: Run, bad: Path) -> None:
    """Two files would leave a doubt."""
    assert run("config", "check", str(bad), "--config", str(bad)).code == 2


def test_the_schema_describes_every_key(run: Run) -> None:
    """Editors show the same sentence that stands beside the key in the model."""
    schema = run("config", "schema").document

    assert schema["$schema"].startswith("https://json-schema.org/")
    assert schema["additionalProperties"] is False
    limits = schema["$defs"]["LimitsConfig"]["properties"]
    assert all(limits[name].get("description") for name in limits)
