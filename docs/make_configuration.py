"""Write ``configuration.md``: an introduction, and a reference made from the model, so that it cannot drift.

Run ``python docs/make_configuration.py``; with ``--check`` it only compares, and exits with 1 when they differ.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from liminal_mesh.node.config import NodeConfig

PAGE: Final = Path(__file__).with_name("configuration.md")
MARK: Final = "<!-- Below: made by docs/make_configuration.py from the model. -->"

SECTIONS: Final = {
    "": "NodeConfig",
    "[client]": "ClientConfig",
    "[http]": "HttpConfig",
    "[log]": "LogConfig",
    "[cluster]": "ClusterConfig",
    "[[channels]]": "ChannelConfig",
    "inbox = { ... } of a channel": "InboxConfig",
    "restart = { ... } of a channel": "RestartConfig",
    "dedup = { ... } of a channel": "DedupConfig",
    "pressure = [{ ... }] of a channel": "PressureConfig",
    "[limits]": "LimitsConfig",
}


def reference() -> str:
    """Return the reference: a table for each section."""
    schema = NodeConfig.model_json_schema()
    models: dict[str, Any] = {"NodeConfig": schema, **schema["$defs"]}
    return "\n".join(line for title, name in SECTIONS.items() for line in _section(title, models[name]))


def _section(title: str, model: dict[str, Any]) -> Iterator[str]:
    yield f"\n### {f'`{title}`' if title else 'Above the sections'}\n\n{_prose(model['description'])}\n"
    yield "| key | default | meaning |\n|---|---|---|"
    for key, field in model["properties"].items():
        if "description" in field:
            yield f"| `{key}` | {_default(field)} | {_prose(field['description'])}{_choices(field)} |"


def _default(field: dict[str, Any]) -> str:
    if "default" not in field:
        return "" if field.get("type") == "object" else "required"
    value = field["default"]
    # A section of its own is described in its own table.
    return "" if value is None or isinstance(value, dict) else f"`{_written(value, field)}`"


def _written(value: Any, field: dict[str, Any]) -> str:
    from liminal_mesh.node.units import format_duration, format_size

    examples = field.get("examples", [])
    if "4KiB" in examples:
        return format_size(value)
    if "250ms" in examples:
        return format_duration(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _choices(field: dict[str, Any]) -> str:
    choices = field.get("enum", [])
    return f" One of {', '.join(f'`{choice}`' for choice in choices)}." if choices else ""


def _prose(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


def main() -> int:
    """Write the page, or compare it."""
    text = PAGE.read_text()
    made = f"{text.partition(MARK)[0]}{MARK}\n{reference()}\n"
    if "--check" in sys.argv[1:]:
        return int(made != text)
    PAGE.write_text(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
