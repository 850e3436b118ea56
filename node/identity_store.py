"""A node's name and epoch, kept where it has a data folder."""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
from pathlib import Path

from liminal_mesh.cluster import NODE_NAME

from .errors import ConfigError, Problem

__all__ = ["choose_epoch", "choose_name", "store_identity"]

_FILE = "node.json"


def choose_name(configured: str | None, data_dir: Path | None) -> str:
    """Return the configured name, else the kept one, else the host's with a random tail.

    Raises:
        ConfigError: the kept name is another than the configured one, or the file cannot be read.
    """
    kept = _load(data_dir).get("name") if data_dir else None
    if configured and kept and kept != configured:
        raise ConfigError(
            [
                Problem(
                    "name", f"{configured!r}, but {data_dir} belongs to node {kept!r}: give this node its own data_dir"
                )
            ]
        )
    if configured or kept:
        return str(configured or kept)
    host = re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname())[:56] or "node"
    return f"{host}-{secrets.token_hex(3)}"


def choose_epoch(data_dir: Path | None, now_ms: int) -> int:
    """Return this run's epoch: above any that was kept, and not before the clock."""
    kept = _load(data_dir).get("epoch", 0) if data_dir else 0
    return max(int(str(kept)) + 1, now_ms)


def store_identity(data_dir: Path | None, name: str, epoch: int) -> None:
    """Keep name and epoch, whole or not at all, before the first pid of this run is issued.

    Raises:
        ConfigError: the folder cannot be made, or nothing can be written there.
    """
    if data_dir is None:
        return
    part = data_dir / (_FILE + ".part")
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with part.open("w") as file:
            json.dump({"name": name, "epoch": str(epoch)}, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(data_dir / _FILE)
    except OSError as error:
        problem = f"{data_dir} cannot be written to: {error.strerror}"
        raise ConfigError([Problem("data_dir", problem)]) from error


def _load(data_dir: Path) -> dict[str, object]:
    path = data_dir / _FILE
    try:
        loaded = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError([Problem("data_dir", f"{path} cannot be read: {error}")]) from error
    kept: dict[str, object] = loaded if isinstance(loaded, dict) else {}
    name, epoch = kept.get("name"), kept.get("epoch")
    if not (isinstance(name, str) and NODE_NAME.match(name) and re.fullmatch(r"[0-9]{1,20}", str(epoch))):
        raise ConfigError([Problem("data_dir", f"{path} does not hold a node's name and epoch")])
    return kept
