"""What a channel does about pressure, as it is written down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from liminal_mesh.node.config import ChannelConfig, NodeConfig, PressureConfig
from liminal_mesh.node.config_sources import load_config
from liminal_mesh.node.errors import ConfigError
from liminal_mesh.node.pressure import PressurePolicy


def test_a_file_has_a_table_for_each_threshold(tmp_path: Path) -> None:
    """PR3: in any order, with one action or several."""
    path = tmp_path / "node.toml"
    path.write_text(
        """
        [[channels]]
        name = "orders"
        pressure = [
          { at = 0.9, shed_below = 5, alert = "critical" },
          { at = 0.7, slow = 2.0 },
          { at = 0.8, signal = "scale-out" },
        ]
        """
    )
    [channel] = load_config(path, {}, {}).config.channels

    assert [one.policy for one in channel.pressure] == [
        PressurePolicy(0.9, shed_below=5, alert="critical"),
        PressurePolicy(0.7, slow=2.0),
        PressurePolicy(0.8, signal="scale-out"),
    ]


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ({"at": 0.0, "slow": 2.0}, "at"),
        ({"at": 1.01, "slow": 2.0}, "at"),
        ({"slow": 2.0}, "at"),
        ({"at": 0.5, "slow": 1.0}, "slow"),
        ({"at": 0.5, "slow": 0.5}, "slow"),
        ({"at": 0.5, "shed_below": 0}, "shed_below"),
        ({"at": 0.5, "shed_below": 11}, "shed_below"),
        ({"at": 0.5, "signal": ""}, "signal"),
        ({"at": 0.5, "alert": "loud"}, "alert"),
        ({"at": 0.5, "sloww": 2.0}, "sloww"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(rule: dict[str, Any], path: str) -> None:
    """PR3: a factor of one slows nobody, and no priority is below 0."""
    with pytest.raises(ConfigError) as error:
        NodeConfig(channels=[{"name": "orders", "pressure": [{"at": 0.5, "slow": 2.0}, rule]}])  # type: ignore[list-item]

    assert [problem.path for problem in error.value.problems] == [f"channels[0].pressure[1].{path}"]


def test_a_threshold_without_an_action_is_a_mistake() -> None:
    """PR3: said with what it may have."""
    with pytest.raises(ConfigError, match="shed_below"):
        PressureConfig(at=0.5)


def test_nothing_is_done_unless_it_is_asked_for() -> None:
    """PR3: a channel without it costs nothing."""
    assert ChannelConfig(name="orders").pressure == ()
