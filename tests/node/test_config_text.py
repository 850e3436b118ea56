"""A configuration as TOML text."""

from pathlib import Path
from typing import Any

import pytest

from liminal_mesh.node.config import NodeConfig
from liminal_mesh.node.config_sources import load_config
from liminal_mesh.node.config_text import to_toml


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"name": "a", "data_dir": Path('/tmp/with "quotes"\n\x7f/\U0001f600'), "drain_timeout": 0.25},
        {
            "cluster": {
                "seeds": ["127.0.0.1:7611"],
                "dial_overrides": {"b": "127.0.0.1:1", "c": "[::1]:2"},
                "expected": 3,
                "ready": "majority",
            },
            "channels": [{"name": "a"}, {"name": "b.>", "ack": "nodes", "inbox": {"bytes": 65_537, "messages": 1}}],
            "limits": {"connections_per_ip": 5, "lane_age": 1.5},
        },
    ],
)
def test_what_is_written_loads_as_the_same(tmp_path: Path, data: dict[str, Any]) -> None:
    """Whatever it holds; a bound that means less while it is unset stays unset."""
    config = NodeConfig.model_validate(data)
    path = tmp_path / "node.toml"
    path.write_text(to_toml(config))

    again = load_config(path, {}, {}).config

    assert again == config
    set_before, set_again = ("connections_per_ip" in one.limits.model_fields_set for one in (config, again))
    assert set_before == set_again


def test_durations_and_sizes_are_written_as_people_write_them() -> None:
    """And each value can tell where it came from."""
    text = to_toml(NodeConfig(), lambda path: f"from {path}")

    assert 'drain_timeout = "30s"' in text
    assert 'max_frame = "1MiB"' in text
    assert "# from limits.max_frame" in text
