"""What the demo shows: a live table on a terminal, a line every second elsewhere."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

from ..text import printable
from .demo_nodes import CHANNEL

if TYPE_CHECKING:
    from rich.table import Table

    from .demo_traffic import Reader, Traffic

__all__ = ["PlainView", "TerminalView", "invitation", "make_view"]


def invitation(traffic: Traffic) -> str:
    """Return how to join in."""
    first, last = traffic.readers[0].node, traffic.readers[-1].node
    return "\n".join(
        (
            "Join in from another terminal:",
            f"  liminal sub {CHANNEL} -s {first.url}",
            f"  liminal pub {CHANNEL} 'hello from me' -s {last.url}",
            f"  liminal members --http http://{first.addresses['http']}",
            f"  kill -9 {last.pid}    # the node {last.name}: the others go on",
            "Ctrl-C ends it.",
        )
    )


def make_view(stream: IO[str]) -> PlainView:
    """Return the view that suits the stream."""
    return TerminalView(stream) if stream.isatty() else PlainView(stream)


class PlainView:
    """Lines of text."""

    period_s = 1.0

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def tell(self, text: str) -> None:
        """Write something that stays."""
        self._stream.write("".join(f"{printable(line)}\n" for line in text.splitlines()))
        self._stream.flush()

    def draw(self, traffic: Traffic, seconds: float) -> None:
        """Show how things stand."""
        nodes = "".join(f" | {_one_line(reader)}" for reader in traffic.readers[1:])
        alive = " ".join(f"{reader.node.name}:{_state(reader, len(traffic.readers))}" for reader in traffic.readers)
        self.tell(f"{seconds:5.1f}s {alive} | published {traffic.published}{nodes}")

    def close(self) -> None:
        """Nothing more is drawn."""


class TerminalView(PlainView):
    """A table that is drawn again and again in its place."""

    period_s = 0.25

    def __init__(self, stream: IO[str]) -> None:
        super().__init__(stream)
        from rich.console import Console
        from rich.live import Live

        self._console = Console(file=stream)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)

    def tell(self, text: str) -> None:
        """Write something that stays, above the table."""
        for line in text.splitlines():
            self._console.print(printable(line), markup=False, highlight=False, soft_wrap=True)

    def draw(self, traffic: Traffic, seconds: float) -> None:
        """Draw the table, and the line of text that came last."""
        from rich.console import Group
        from rich.text import Text

        if not self._live.is_started:
            self._live.start()
        last = next((reader.last for reader in traffic.readers[1:] if reader.last), "")
        words = Text(f"  {printable(last, 200)}", style="italic cyan", no_wrap=True, overflow="ellipsis")
        clock = Text(f"{seconds:.0f} s, {traffic.published} lines published on {CHANNEL}", style="dim")
        self._live.update(Group("", _table(traffic), "", words, "", clock), refresh=True)

    def close(self) -> None:
        """Take the table away; whatever was told stays."""
        if self._live.is_started:
            self._live.stop()


def _table(traffic: Traffic) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("NODE", "STATE", "PROCESS", "CLIENTS", "HTTP"):
        table.add_column(heading, no_wrap=True)
    for heading in ("LINES", "RATE", "MISSED"):
        table.add_column(heading, justify="right", no_wrap=True)
    for index, reader in enumerate(traffic.readers):
        node = reader.node
        ports = (f":{node.addresses[kind].rpartition(':')[2]}" for kind in ("client", "http"))
        row = (node.name, _state(reader, len(traffic.readers)), str(node.pid), *ports)
        table.add_row(*row, *_counts(reader, traffic, index))
    return table


def _counts(reader: Reader, traffic: Traffic, index: int) -> tuple[str, ...]:
    if index == 0:
        return f"sent {traffic.published}", f"{reader.rate.of(traffic.published):.1f}/s", ""
    others = f" (+{reader.others})" if reader.others else ""
    return f"got {reader.received}{others}", f"{reader.rate.of(reader.received):.1f}/s", str(reader.missed)


def _state(reader: Reader, count: int) -> str:
    return "ended" if reader.node.exited.done() else f"sees {reader.sees()} of {count}"


def _one_line(reader: Reader) -> Any:
    rate = reader.rate.of(reader.received)
    return f"{reader.node.name} received {reader.received} ({rate:.1f}/s) missed {reader.missed}"
