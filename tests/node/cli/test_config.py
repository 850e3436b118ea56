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


def test_a_file_to_begin_with_has_no_problems_and_is_never_lost(run: Run, tmp_path: Path) -> None:
    """It is written once; only --force replaces it, and leaves nothing else behind."""
    path = tmp_path / "node.toml"

    ran = run("config", "init", str(path))
    assert (ran.code, ran.out) == (0, "")
    assert f"liminal serve --config {path}" in ran.err
    assert run("config", "check", str(path)).code == 0
    assert run("config", "show", str(path), "--json").document["config"]["channels"][0]["name"] == "orders"

    path.write_text("precious")
    ran = run("config", "init", str(path))
    assert (ran.code, path.read_text()) == (1, "precious")
    assert "--force" in ran.err
    assert run("config", "init", str(path), "--force", "--json").document == {"file": str(path)}
    assert run("config", "check", str(path)).code == 0
    assert [one.name for one in tmp_path.iterdir()] == ["node.toml"]


def test_a_link_is_not_followed_and_a_folder_that_is_not_there_is_told(run: Run, tmp_path: Path) -> None:
    """Nothing is written in either case."""
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")

    assert run("config", "init", str(link)).code == 1
    assert not (tmp_path / "elsewhere").exists()
    ran = run("config", "init", str(tmp_path / "no" / "node.toml"))
    assert ran.code == 1
    assert "No such file or directory" in ran.err


def test_a_file_that_cannot_be_written_whole_is_not_there(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A former one stays as it was."""
    path = tmp_path / "node.toml"
    path.write_text("precious")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))

    assert run("config", "init", str(path), "--force").code == 1
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("node.toml", "precious")]


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
    assert document["file"] == str(path)
    assert run("config", "show", "--json", "--origin").document["origins"]["limits.peers"] == "default"


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
