"""The pages for users: what they show can be typed, loaded, and followed."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer.main

from liminal_mesh.node.cli import probe, verbs
from liminal_mesh.node.config_sources import load_config

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", ROOT / "compose/README.md", *sorted((ROOT / "docs").glob("*.md")))
SCHEMA = {"type": "object", "properties": {"id": {"type": "integer"}}}


class Block(NamedTuple):
    """What stands between two fences of a page."""

    place: str
    language: str
    text: str


def blocks(*languages: str) -> list[Any]:
    """Return the blocks of all pages in these languages, as parameters that are called by their places."""
    return [pytest.param(block, id=block.place) for page in PAGES for block in _in(page) if block.language in languages]


def _in(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for found in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        line = text.count("\n", 0, found.start()) + 2
        yield Block(f"{page.relative_to(ROOT)}:{line}", *found.groups())


def _commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each command of ours, whatever program runs it."""
    for line in text.splitlines():
        for part in re.split(r"\s#\s|;", line):
            found = re.search(r"(?:^(?:\$ )?|\sexec .*?)\s*\bliminal (\w.*)", part)
            if found:
                yield shlex.split(found.group(1))


def _understood(words: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command line take the words apart, and do nothing of what they say."""
    if words[0] == "health":
        probe._parser().parse_args(words[1:])
        return
    called: list[str] = []
    program = command = typer.main.get_command(verbs._app(words[:1]))
    for word in words:
        command = getattr(command, "commands", {}).get(word, command)
    monkeypatch.setattr(command, "callback", lambda **_: called.append("once"))
    program.main(args=list(words), prog_name="liminal", standalone_mode=False)
    assert called == ["once"]


@pytest.mark.parametrize("block", blocks("sh", "console"))
def test_every_command_of_a_page_can_be_typed(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its verb is there, with each of its options."""
    for words in _commands(block.text):
        _understood(words, monkeypatch)


def test_a_command_that_is_not_there_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the test above would say nothing."""
    (words,) = _commands("$ docker compose exec n1 liminal members --wacth   # as it changes")
    assert words == ["members", "--wacth"]
    with pytest.raises(typer.TyperException, match="--wacth"):
        _understood(words, monkeypatch)


@pytest.mark.parametrize("block", blocks("toml"))
def test_every_configuration_of_a_page_loads(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it stands, in a folder with the files that it names."""
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas/order.json").write_text(json.dumps(SCHEMA))
    for cookie in ("cookie", "cookie.txt"):
        (tmp_path / cookie).write_text("a5f1c09e77d24b3c8e6f0d12ab9934c7e85b61f03d7a4c29b0e8f6d5c4b3a291")
        (tmp_path / cookie).chmod(0o600)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "node.toml").write_text(block.text)

    load_config(Path("node.toml"), {}, {})


@pytest.mark.parametrize("block", blocks("json"))
def test_every_json_of_a_page_is_json(block: Block) -> None:
    """It can be copied."""
    json.loads(block.text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    """To a file, and to a heading of it."""
    for target, heading in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)", page.read_text()):
        other = page.parent / target if target else page
        assert other.exists(), f"{target} is not there"
        assert not heading or heading in _headings(other), f"{other.name} has no heading {heading}"


def _headings(page: Path) -> set[str]:
    """Return the headings of a page as links name them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
