"""Where a configuration comes from: a flag, else the environment, else the file, else the default.

The environment names a key as ``LIMINAL_SECTION__KEY``, a key outside the sections as ``LIMINAL_KEY``. Lists are
divided by commas, tables are written ``b=127.0.0.1:17601,c=...``. Whatever holds two underscores in a row has to be
a key of ours; other names (such as those that Kubernetes makes for a service called ``liminal``) are left alone.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, Self, get_args, get_origin

from pydantic import BaseModel, ValidationError

from .config import NodeConfig
from .config_checks import file_problems, problems_between
from .config_lines import find_lines
from .config_problems import Location, path_text, problems_in, section_at, unknown_key
from .errors import ConfigError, Problem

__all__ = ["COMMAND_LINE", "LoadedConfig", "load_config"]

COMMAND_LINE: Final = "command line"
DEFAULT: Final = "default"
"""Origins: of a flag, and of what nobody said."""

_PREFIX: Final = "LIMINAL_"
_FILE_BYTES_MAX: Final = 4 << 20
_MENDINGS_MAX: Final = 4
"""How often a wrong tree is validated again: what is wrong inside comes out at once, what hides behind it next."""


@dataclass(frozen=True)
class LoadedConfig:
    """A configuration, and where each of its values came from.

    ``origins`` maps paths such as ``cluster.seeds`` to ``node.toml:14``, ``LIMINAL_CLUSTER__SEEDS``, ``command line``
    or, of what was said in code, ``program``; what is not in it is a default. ``path`` is the file, if there was one.
    """

    config: NodeConfig
    origins: Mapping[str, str]
    path: Path | None

    @classmethod
    def in_code(cls, config: NodeConfig | None) -> Self:
        """Return a configuration that a program has made, or has not; whatever it gave is its own.

        Raises:
            TypeError: it is none.
        """
        if config is None:
            config = NodeConfig()
        if not isinstance(config, NodeConfig):
            raise TypeError(f"{config!r} is no NodeConfig: give one; Node.from_file(path) reads a file")
        return cls(config, {value.path: "program" for value in _values(config) if value.given}, None)

    def origin(self, path: str) -> str:
        """Return where the value at ``path`` came from; a section that is written as a value is one, too."""
        return (_place(self.origins, path) or DEFAULT) if self._given[path] else DEFAULT

    def document(self) -> dict[str, Any]:
        """Return every value, and where each came from, as JSON can hold it. Secrets are in files, so none is in it."""
        return {
            "config": self.config.model_dump(mode="json"),
            "origins": {value.path: self.origin(value.path) for value in _values(self.config) if not value.section},
            "file": None if self.path is None else str(self.path),
        }

    @cached_property
    def _given(self) -> Mapping[str, bool]:
        return {value.path: value.given for value in _values(self.config)}


class _Value(NamedTuple):
    """A value of a configuration, or a section within another: its path, and whether it was given or is a default."""

    path: str
    given: bool
    section: bool = False


def _values(section: BaseModel, prefix: str = "") -> Iterator[_Value]:
    """Yield everything in a section."""
    for name in type(section).model_fields:
        value, path, given = getattr(section, name), f"{prefix}{name}", name in section.model_fields_set
        if isinstance(value, BaseModel):
            yield _Value(path, given, section=True)
            yield from _values(value, f"{path}.")
        elif isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
            yield _Value(path, given, section=True)
            for index, one in enumerate(value):
                yield from _values(one, f"{path}[{index}].")
        else:
            yield _Value(path, given)


@dataclass(slots=True)
class _Tree:
    """What the sources say together: later values replace earlier ones."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    headings: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def load_config(
    path: Path | None = None, environ: Mapping[str, str] | None = None, overrides: Mapping[str, object] | None = None
) -> LoadedConfig:
    """Put a configuration together and check it, with the files that it names.

    Args:
        path: a TOML file, or ``None`` to start from the defaults.
        environ: the environment; nothing is read from it when it is ``None``.
        overrides: values by path (``log.level``), from the command line; ``None`` stands for a flag not given.

    Raises:
        ConfigError: with everything that is wrong, in whichever source.
    """
    tree = _Tree()
    if path is not None:
        _read_file(tree, path)
    for name, text in sorted((environ or {}).items()):
        _read_variable(tree, name, text)
    given = {key: value for key, value in (overrides or {}).items() if value is not None}
    for key, value in given.items():
        _put(tree, tuple(key.split(".")), value, COMMAND_LINE)
    config, problems = _validate(tree.values)
    problems += [*problems_between(config), *file_problems(config)]
    if tree.problems or problems:
        raise ConfigError(sorted((*tree.problems, *(_placed(tree, problem) for problem in problems)), key=_line))
    return LoadedConfig(config, tree.origins, path)


def _read_file(tree: _Tree, path: Path) -> None:
    try:
        with path.open("rb") as file:
            text = file.read(_FILE_BYTES_MAX + 1).decode()
        if len(text) > _FILE_BYTES_MAX:
            raise ValueError("is larger than 4 MiB")
        tree.values = tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        tree.problems.append(Problem("", f"cannot be read: {said}", str(path)))
        return
    for location, number, heading in find_lines(text):
        place = f"{path.name}:{number}"
        (tree.headings if heading else tree.origins).setdefault(path_text(location), place)
        # What stands in a table is of that table's line, too, where the table is a value.
        for end in range(2, len(location) + 1):
            if isinstance(location[end - 1], str):
                tree.origins.setdefault(path_text(location[:end]), place)
    _anchor(tree.values, path.parent)


def _anchor(values: dict[str, Any], folder: Path) -> None:
    """Make the paths in a file relative to the file's folder, so that it means the same from everywhere."""
    cluster, channels = values.get("cluster"), values.get("channels")
    _anchor_keys(values, ("data_dir",), folder)
    if isinstance(cluster, dict):
        _anchor_keys(cluster, ("cookie_file", "cookie_files"), folder)
    for channel in channels if isinstance(channels, list) else ():
        if isinstance(channel, dict):
            _anchor_keys(channel, ("schema",), folder)


def _anchor_keys(section: dict[str, Any], keys: tuple[str, ...], folder: Path) -> None:
    for key in keys:
        match section.get(key):
            case str() as name:
                section[key] = str(folder / name)
            case list() as names:
                section[key] = [str(folder / name) if isinstance(name, str) else name for name in names]


def _read_variable(tree: _Tree, name: str, text: str) -> None:
    # Compose files pass on what is not set as an empty text.
    if not (name.startswith(_PREFIX) and text):
        return
    location = tuple(name.removeprefix(_PREFIX).lower().split("__"))
    if len(location) > 1 or _kind_at(location) in (str, float, int, bool, Path):
        _put(tree, location, text, name)


def _put(tree: _Tree, location: tuple[str, ...], value: object, origin: str) -> None:
    kind = _kind_at(location)
    if "channels" in location[:1]:
        tree.problems.append(Problem("channels", "channels are declared in a file", origin))
    elif kind is None:
        tree.problems.append(Problem(path_text(location), unknown_key(location, NodeConfig), origin))
    else:
        section = tree.values
        for depth, step in enumerate(location[:-1], 1):
            if step not in section:  # what is wrong with the section as a whole came with this value
                tree.headings[path_text(location[:depth])] = origin
            section = section.setdefault(step, {})
            if not isinstance(section, dict):
                return  # The file has something else in the section's place, and that is reported.
        section[location[-1]] = _parse(value, kind) if isinstance(value, str) else value
        path = path_text(location)
        tree.origins = {known: place for known, place in tree.origins.items() if not known.startswith(f"{path}.")}
        tree.origins[path] = origin


def _kind_at(location: Location) -> type | None:
    """Return what a key holds: a scalar's type, a list, a mapping; ``None`` when there is no such key."""
    section = section_at(NodeConfig, location[:-1])
    found = section.model_fields.get(str(location[-1])) if section else None
    return _kind(found.annotation) if found else None


def _kind(annotation: Any) -> type | None:
    origin = get_origin(annotation)
    if origin is None:
        is_value = isinstance(annotation, type) and not issubclass(annotation, BaseModel | type(None))
        return annotation if is_value else None
    if origin in (Sequence, Mapping):
        return origin  # type: ignore[no-any-return]
    if origin is Literal:
        return str
    inside = get_args(annotation)[:1] if origin is Annotated else get_args(annotation)
    return next((kind for kind in map(_kind, inside) if kind), None)


def _parse(text: str, kind: type) -> object:
    """Read a value as the environment spells it; what does not fit is left for the checks to refuse."""
    if kind is bool:
        return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)
    if kind is int:
        return int(text) if text.isdecimal() else text
    items = [item.strip() for item in text.split(",") if item.strip()]
    if kind is Sequence:
        return items
    if kind is Mapping:
        return {key: value for key, _, value in (item.partition("=") for item in items)}
    return text


def _validate(values: dict[str, Any]) -> tuple[NodeConfig, list[Problem]]:
    """Validate, and again without what was wrong, so that what depends on the rest can be checked all the same."""
    problems: list[Problem] = []
    for _ in range(_MENDINGS_MAX):
        try:
            return NodeConfig.model_validate(values), problems
        except ValidationError as error:
            known = {problem.path for problem in problems}
            problems += [problem for problem in problems_in(error, NodeConfig) if problem.path not in known]
            for found in reversed(error.errors(include_url=False, include_context=False)):
                _mend(values, found["loc"])
    return NodeConfig(), problems


def _mend(values: dict[str, Any], location: Location) -> None:
    """Take out what is wrong. A channel is replaced, so that those behind it keep their places."""
    if location[-1] == "[key]":
        location = location[:-1]
    parent: Any = values
    for step in location[:-1]:
        parent = parent[step]
    last: Any = location[-1]
    if location[0] == "channels" and (len(location) == 2 or location[2:] == ("name",)):
        values["channels"][location[1]] = {"name": f"unnamed-{location[1]}"}
    elif isinstance(parent, list):
        del parent[last]
    else:
        parent.pop(last, None)


def _placed(tree: _Tree, problem: Problem) -> Problem:
    return Problem(problem.path, problem.message, _place({**tree.headings, **tree.origins}, problem.path))


def _line(problem: Problem) -> float:
    """Order problems as a file is read; what stands elsewhere comes behind."""
    number = problem.place.rpartition(":")[2]
    return int(number) if number.isdigit() else math.inf


def _place(origins: Mapping[str, str], path: str) -> str:
    """Return the place of the nearest part of a path whose place is known, or ""."""
    while path and path not in origins:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return origins.get(path, "")
