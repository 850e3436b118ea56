"""The schemas that a configuration names (SC1, HC2)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from liminal_mesh.node.config import ChannelConfig, NodeConfig
from liminal_mesh.node.config_schemas import make_schema, read_schemas
from liminal_mesh.node.config_sources import load_config
from liminal_mesh.node.config_text import to_toml
from liminal_mesh.node.errors import ConfigError
from liminal_mesh.node.node import Node
from liminal_mesh.node.schema import Schema

from ..nodes import node_config

ORDER: dict[str, Any] = {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}

FILE = """\
[[channels]]
name = "orders"
schema = "schemas/order.json"

[[channels]]
name = "inline.*"
schema = { type = "object", required = ["id"] }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a configuration, and the schema that it names."""
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "order.json").write_text(json.dumps(ORDER, indent=2))
    (tmp_path / "node.toml").write_text(FILE)
    return tmp_path


def test_a_schema_is_a_file_beside_the_configuration_or_a_table(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """From wherever the node is started."""
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    config = load_config(folder / "node.toml", {}, {}).config

    assert read_schemas(config) == {
        "orders": Schema(ORDER),
        "inline.*": Schema({"type": "object", "required": ["id"]}),
    }


def test_what_is_written_of_a_schema_loads_again(folder: Path) -> None:
    """File or table."""
    config = load_config(folder / "node.toml", {}, {}).config
    (folder / "again.toml").write_text(to_toml(config))

    assert load_config(folder / "again.toml", {}, {}).config == config


def test_in_code_it_is_a_path_or_a_mapping(folder: Path) -> None:
    """And the same schema either way."""
    channels = [
        ChannelConfig(name="a", schema=folder / "schemas" / "order.json"),
        ChannelConfig(name="b", schema=str(folder / "schemas" / "order.json")),  # type: ignore[arg-type]
        ChannelConfig(name="c", schema=ORDER),
    ]

    assert len(set(read_schemas(NodeConfig(channels=channels)).values())) == 1


def test_hc2_unreadable_schemas_are_reported_with_everything_else_that_is_wrong(folder: Path) -> None:
    """Each with its place: files that are missing, or something else, a table that is no schema, a bad data folder."""
    (folder / "no.json").write_text("{")
    (folder / "odd.json").write_text('{"properties": {"a": {"type": "strin"}}}')
    (folder / "nan.json").write_text('{"const": NaN}')
    (folder / "large.json").write_text(" " * ((1 << 20) + 1))
    files = ("missing.json", "no.json", "odd.json", "nan.json", "large.json", "schemas")
    sources = [*(f'"{file}"' for file in files), "5", '{ type = "strin" }']
    text = "".join(f'[[channels]]\nname = "c{number}"\nschema = {source}\n' for number, source in enumerate(sources))
    (folder / "bad.toml").write_text(f'data_dir = "no.json"\n{text}')
    with pytest.raises(ConfigError) as refused:
        load_config(folder / "bad.toml", {}, {})

    found = {problem.path: problem for problem in refused.value.problems}
    expected = {
        "channels[0].schema": f"{folder}/missing.json: No such file or directory",
        "channels[1].schema": f"{folder}/no.json: is no JSON",
        "channels[2].schema": f"{folder}/odd.json: /properties/a/type: ",
        "channels[3].schema": f"{folder}/nan.json: is no JSON: there is no NaN",
        "channels[4].schema": f"{folder}/large.json: is larger than 1 MiB",
        "channels[5].schema": f"{folder}/schemas: Is a directory",
        "channels[6].schema": "has to be the path",
        "channels[7].schema": "/type: ",
        "data_dir": f"{folder}/no.json is not a folder",
    }
    assert found.keys() == expected.keys()
    for path, message in expected.items():
        assert message in found[path].message
    assert found["channels[0].schema"].place == "bad.toml:4"


async def test_hc2_a_node_in_code_does_not_start_with_a_schema_that_cannot_be_read(tmp_path: Path) -> None:
    """As with a cookie."""
    node = Node(node_config("a", channels=[ChannelConfig(name="a", schema=tmp_path / "missing.json")]))
    with pytest.raises(ConfigError, match=r"missing\.json"):
        await node.start()


def test_what_stands_in_code_is_looked_at_at_once() -> None:
    """It needs no file."""
    with pytest.raises(ConfigError, match=r"schema: /type"):
        ChannelConfig(name="a", schema={"type": "strin"})
    with pytest.raises(ConfigError, match="schema"):
        make_schema({"$ref": "#/nothing"})
