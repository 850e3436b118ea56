"""The configuration to begin with."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from liminal_mesh.node.config import ChannelConfig, ClientConfig, ClusterConfig, NodeConfig
from liminal_mesh.node.config_example import CHANNEL, to_example
from liminal_mesh.node.config_sources import load_config


def keys(text: str) -> set[str]:
    """Return the key of each line that sets one, or would, behind its section."""
    found, section = set(), ""
    for line in (line.removeprefix("#") for line in text.splitlines() if not line.startswith("# ")):
        if line.startswith("["):
            section = line.strip("[]")
        elif " = " in line:
            found.add(f"{section}.{line.partition(' = ')[0]}")
    return found


def test_it_loads_as_it_stands(tmp_path: Path) -> None:
    """As a lone node with defaults, and one channel to try it with."""
    path = tmp_path / "node.toml"
    path.write_text(to_example())

    assert load_config(path, {}, {}).config == NodeConfig(channels=[ChannelConfig(name=CHANNEL)])


def test_every_line_of_it_is_right_when_its_mark_is_removed(tmp_path: Path) -> None:
    """And sets its key to its default, or to the example that is told as one."""
    (tmp_path / "cookie").write_text(secrets.token_hex(32))
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "order.json").write_text("{}")
    path = tmp_path / "node.toml"
    lines = to_example().splitlines()
    path.write_text("\n".join(line if line.startswith("# ") else line.removeprefix("#") for line in lines))

    values = load_config(path, {}, {}).config.model_dump(mode="json")

    cluster = ClusterConfig(advertise="a.example:7601", cookie_file=tmp_path / "cookie", expected=3)
    channels = [ChannelConfig(name=CHANNEL, schema=tmp_path / "schemas" / "order.json")]
    client = ClientConfig(advertise="a.example:7600")
    expected = NodeConfig(name="a", data_dir=tmp_path / "data", client=client, cluster=cluster, channels=channels)
    assert values == expected.model_dump(mode="json")


def test_every_key_is_in_it() -> None:
    """A key whose default is None needs an example in its model: ``Field(examples=[...])``."""
    assert keys(to_example()) == set(_keys(NodeConfig()))


def _keys(section: BaseModel, title: str = "") -> Iterator[str]:
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(section, NodeConfig) and name == "channels":
            yield from _keys(ChannelConfig(name=CHANNEL), name)
        elif isinstance(section, NodeConfig) and name == "cluster":
            yield from _keys(ClusterConfig(), name)
        elif isinstance(section, NodeConfig) and isinstance(value, BaseModel):
            yield from _keys(value, name)
        else:
            yield f"{title}.{name}"


def test_every_key_says_what_it_means() -> None:
    """In lines that fit."""
    lines = to_example().splitlines()

    assert max(map(len, lines)) <= 110
    assert "``" not in to_example()
    for line, before in zip(lines[1:], lines, strict=False):
        if line.startswith("#") and not line.startswith("# ") and " = " in line:
            assert before.startswith("# "), line
