"""`bulkwriter stub`: the local server in the foreground, until Ctrl-C; then it tells what really happened.

stderr shows the base URL, a token, and a command to try; with `--json` stdout has one object a line: first where it
listens, at the end its truth.  Ending by a signal is the normal end, so it exits with 0.  What the server does is
`bulkwriter.stub`'s business, and `bulkwriter help stub` describes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import SourceError
from . import describe, options
from .main import put_stderr
from .signals import heeded
from .stdout import put

if TYPE_CHECKING:
    from ..stub import Scenario, StubServer


@click.command("stub", epilog="More: bulkwriter help stub.")
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=8_765, show_default=True, help="port; 0 takes a free one"
)
@click.option(
    "--scenario", type=options.PATH, metavar="FILE", help="JSON or TOML file that describes how the server behaves"
)
@click.option("--existing", type=options.PATH, metavar="FILE", help="SOURCE of pairs that exist from the start")
@click.option("--json", "as_json", is_flag=True, help="print base URL and truth as JSON lines on stdout")
@click.option("--until-stdin-ends", is_flag=True, hidden=True, help="end when stdin does, that is, with the parent")
def command(port: int, scenario: Path | None, existing: Path | None, as_json: bool, until_stdin_ends: bool) -> int:
    """Run a local server that behaves like the real one, in memory and on loopback only."""
    from ..stub.scenario import Scenario
    from .lifecycle import run_loop

    behaviour = Scenario.load(scenario) if scenario else Scenario()
    truth = run_loop(lambda: serve(behaviour, existing, port=port, as_json=as_json, is_child=until_stdin_ends))
    if as_json:
        put(json.dumps({"truth": truth}))
    put_stderr("\n".join(["", *truth_lines(truth)]))
    return 0


async def serve(
    scenario: Scenario, existing: Path | None, *, port: int, as_json: bool, is_child: bool
) -> dict[str, Any]:
    """Serve until a signal, or until stdin ends; answers with the truth."""
    from ..stub import serve as start

    if existing is not None:
        there = (*scenario.existing_pairs(), *await pairs_of(existing))
        scenario = scenario.but(existing=there)
    async with await start(scenario, port=port) as stub:
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in heeded((signal.SIGINT, signal.SIGTERM)):
            loop.add_signal_handler(number, ended.set)
        if is_child:
            threading.Thread(target=wait_for_parent, args=(loop, ended), daemon=True).start()
        announce(stub, as_json=as_json)
        await ended.wait()
        return stub.truth()


def wait_for_parent(loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    while os.read(0, 4_096):
        continue
    with contextlib.suppress(RuntimeError):  # the loop has ended already
        loop.call_soon_threadsafe(ended.set)


def announce(stub: StubServer, *, as_json: bool) -> None:
    token = next(iter(stub.scenario.tokens), "")
    if as_json:
        put(json.dumps({"base_url": stub.base_url, "token": token}))
    put_stderr(
        f"stub: {stub.base_url}, token {token}; Ctrl-C ends it.  Try:\n"
        f"  BULKWRITER_TOKEN={token} bulkwriter run pairs.csv --base-url {stub.base_url}"
    )


async def pairs_of(path: Path) -> list[tuple[int, int]]:
    """All pairs of a source; a bad row is an error here."""
    from ..sources import open_source

    source = open_source(str(path))
    found: list[tuple[int, int]] = []
    async with contextlib.aclosing(source):
        while batch := await source.read(10_000):
            for place, row in batch.bad.items():
                raise SourceError(f"{path}, line {batch.lines[place]}: {row.reason}", line=batch.lines[place])
            found += [pair for pair in batch.pairs if pair is not None]
    return found


def truth_lines(truth: dict[str, Any]) -> list[str]:
    """What really happened, for people."""
    requests = ", ".join(f"{count:,} {method}" for method, count in truth["requests"].items()) or "none"
    statuses = ", ".join(f"{count:,} × {status}" for status, count in truth["statuses"].items()) or "none"
    rows = [
        ("records", f"{truth['records']:,}, {truth['doubles']:,} doubled, {truth['seeded']:,} there from the start"),
        ("requests", requests),
        ("replies", statuses),
        ("worst second", describe.quantity(truth["worst_second"], "POST")),
        ("in flight", f"{truth['peak_in_flight']:,} at most"),
    ]
    if people := truth["people"]:
        made, doubled = people["enrolments_created"], people["enrolment_doubles"]
        rows.insert(1, ("enrolments", f"{people['enrolments']:,}, {doubled:,} doubled, {made:,} made by requests"))
    return [f"  {name:<13} {text}" for name, text in rows]
