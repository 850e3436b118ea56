"""``liminal doctor``: why a mesh has not formed, for a node that runs, or from the file of one that does not."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from .errors import Code, Stop
from .loop import run_async
from .options import HttpOption, JsonOption, ServerOption
from .output import emit_json, emit_table, say
from .server import ask_json, http_url

if TYPE_CHECKING:
    from ..diagnosis import Finding

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("doctor")(doctor)


def doctor(
    file: Annotated[
        Path | None, typer.Option("--config", "-c", metavar="FILE", help="Examine a node that does not run.")
    ] = None,
    server: ServerOption = None,
    http: HttpOption = None,
    json: JsonOption = False,
) -> None:
    """Explain why a mesh has not formed.

    It looks at configuration, DNS, dials, cookie, cluster, version, addresses, clocks and channels. A running node
    tells what it has seen itself, and the address that it advertises is dialled from here. With --config the seeds of a
    node that does not run are looked up and dialled from here. Nothing is changed anywhere.

    Exit codes: 0 no problem, 1 no answer, 2 the configuration is wrong, 3 problems were found.
    """
    if file is not None and (server or http):
        raise typer.BadParameter("a running node, or the file of one that does not run?", param_hint="--config")
    if file is not None:
        _examine(file, json)
    else:
        _ask(http_url(http, server), json)


def _ask(url: str, json: bool) -> None:
    from liminal_mesh.cluster import parse_address

    from ..environment import REAL
    from ..examination import try_advertised

    began = time.time()
    try:
        facts = ask_json(url, "/api/v1/discovery")
    except Stop as error:
        raise Stop(f"{error.text} (--config FILE examines a node that does not run)", error.code) from error
    # It has looked at its clock between then and now: only what lies outside of that is told.
    facts["asked_at"] = min(max(facts["now"], began), time.time())
    here = (urlsplit(url).hostname or "") in {"localhost", "::1"} or (urlsplit(url).hostname or "").startswith("127.")
    # Loopback of another machine is none of ours.
    if facts.get("cluster") and (here or not parse_address(facts["advertise"]).loopback):
        facts["advertised"] = run_async(try_advertised(facts, REAL))
    _report(facts, json)


def _examine(file: Path, json: bool) -> None:
    from ..config_sources import load_config
    from ..diagnosis import Finding
    from ..environment import REAL
    from ..errors import ConfigError
    from ..examination import examine

    try:
        facts = run_async(examine(load_config(file, os.environ, {}).config, REAL))
    except ConfigError as error:
        if not json:
            raise
        findings = [Finding("config", "problem", one.path, one.message) for one in error.problems]
        emit_json({"ok": False, "node": None, "findings": [asdict(one) for one in findings], "facts": None})
        raise typer.Exit(Code.USAGE) from error
    _report(facts, json)


def _report(facts: dict[str, Any], json: bool) -> None:
    from ..diagnosis import diagnose

    findings = diagnose(facts)
    problems = sum(finding.level == "problem" for finding in findings)
    if json:
        listed = [asdict(finding) for finding in findings]
        emit_json({"ok": not problems, "node": facts["name"], "findings": listed, "facts": facts})
    else:
        _show(findings)
        say(f"node {facts['name']}: {problems or 'no'} problem{'' if problems == 1 else 's'}")
    if problems:
        raise typer.Exit(Code.NOT_READY)


def _show(findings: Sequence[Finding]) -> None:
    rows = [(finding.level, finding.name, finding.about, finding.text, finding.advice) for finding in findings]
    emit_table(["", "FINDING", "ABOUT", "WHAT", "WHAT TO DO"], rows)
