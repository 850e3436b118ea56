"""A configuration to begin with: every key with what it means, commented out at its default. Made from the models."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap
from typing import Any, Final, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from .config import ChannelConfig, ClusterConfig, NodeConfig
from .config_text import toml_value

__all__ = ["CHANNEL", "to_example"]

CHANNEL: Final = "orders"
"""The channel that the example has: a node without any refuses every publish."""

_WIDTH: Final = 100

_HEAD: Final = f"""\
# A node of liminal. This file loads as it stands: a lone node on loopback with the channel {CHANNEL!r}.
#
# A line '#key = value' sets the key when its # is removed. The values are the defaults; where a key has none,
# an example stands there.
"""


def to_example() -> str:
    """Return the text of the file."""
    return _HEAD + "\n".join(_section(NodeConfig())) + "\n"


def _section(section: BaseModel) -> Iterator[str]:
    inner: list[str] = []
    top = isinstance(section, NodeConfig)
    for name, info in type(section).model_fields.items():
        value = getattr(section, name)
        if top and name == "channels":
            channel = ChannelConfig(name=CHANNEL)
            inner += ["", *_prose(ChannelConfig), "[[channels]]", f'name = "{CHANNEL}"', *_section(channel)]
        elif top and name == "cluster":
            inner += ["", *_prose(ClusterConfig), "# Remove the # of its heading too."]
            inner += ["#[cluster]", *_section(ClusterConfig())]
        elif top and isinstance(value, BaseModel):
            inner += ["", *_prose(type(value)), f"[{name}]", *_section(value)]
        elif not info.is_required():
            yield from _key(name, info, value)
    yield from inner


def _prose(model: type[BaseModel]) -> Iterator[str]:
    yield from _comment(model.__doc__ or "")


def _key(name: str, info: FieldInfo, value: Any) -> Iterator[str]:
    yield ""
    yield from _comment(_meaning(info))
    if isinstance(value, BaseModel):
        for key, inner in type(value).model_fields.items():
            yield from _comment(f"{key}: {_meaning(inner)}", "#   ")
    if value is not None:
        yield f"#{name} = {toml_value(value, info)}"
    elif info.examples:
        yield f"#{name} = {toml_value(info.examples[0], info)}  # an example"


def _meaning(info: FieldInfo) -> str:
    choices = get_args(info.annotation) if get_origin(info.annotation) is Literal else ()
    return f"{info.description} One of {', '.join(choices)}." if choices else info.description or ""


def _comment(text: str, prefix: str = "# ") -> Iterator[str]:
    for line in wrap(" ".join(text.replace("``", "'").split()), _WIDTH - len(prefix)):
        yield f"{prefix}{line}"
