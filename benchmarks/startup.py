"""How long a person waits: from the command to its help, and to the first POST on the wire.

The reference is an interpreter that does nothing.  `--help` is timed from its start to its end; the first POST from the
start of `bulkwriter run` until a server in this process has read its head.  Everything is warm: compiled modules and
the page cache are there, as from the second start on.  Nothing is bound to a core, as on a person's machine.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

from .children import BenchmarkFailed, Ended
from .commands import bulkwriter_run, read_summary
from .figures import Row, median_rows
from .inputs import clustered, write_pairs
from .servers import EMPTY_PAGE, ENVELOPE, Server
from .turns import PYTHON, Contender, Findings, Plan, in_turns

KEYS = ("took_s", "cpu_s", "rss_bytes")
ROUNDS = 4
"""Times the rounds of others: a start is short, and its time is what the neighbours leave."""


class Answering(ThreadingHTTPServer):
    """Answers as nginx does, and knows when the first POST since `forget` came."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.first_post_at: float | None = None
        self.ids = count(1)

    def forget(self) -> None:
        self.first_post_at = None


class Answer(BaseHTTPRequestHandler):
    """One connection of it."""

    protocol_version = "HTTP/1.1"
    server: Answering

    def do_GET(self) -> None:
        self.say(EMPTY_PAGE)

    def do_POST(self) -> None:
        if self.server.first_post_at is None:
            self.server.first_post_at = time.monotonic()
        self.rfile.read(int(self.headers["Content-Length"]))
        self.say(ENVELOPE % next(self.server.ids))

    def say(self, body: str) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.wfile.write((head + body).encode())

    def log_message(self, *said: object) -> None:
        return None


@contextmanager
def answering() -> Iterator[Answering]:
    with Answering() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def measure(plan: Plan) -> Findings:
    with answering() as server:
        contenders = [
            command("python -c pass", "-c", "pass"),
            command("bulkwriter --help", "-m", "bulkwriter", "--help"),
            first_post(server, plan),
        ]
        runs, _ = in_turns(contenders, dataclasses.replace(plan, rounds=plan.rounds * ROUNDS))
    return Findings(runs=runs, rows=median_rows(runs), keys=KEYS, settings={"rounds": plan.rounds * ROUNDS})


def command(name: str, *args: str) -> Contender:
    return Contender(
        name=name,
        pairs=1,
        argv=lambda _: [PYTHON, *args],
        cores=frozenset(),
        read=read_wall,
        has_start=False,
    )


def read_wall(ended: Ended) -> Row:
    return {"took_s": ended.wall_s}


def first_post(server: Answering, plan: Plan) -> Contender:
    """A run of one pair, with a new journal."""
    source = write_pairs(plan.folder / "one.csv", clustered(1, plan.seed))
    here = Server("thread", f"http://127.0.0.1:{server.server_port}")
    name = "bulkwriter run, to its first POST"
    run = bulkwriter_run(name, here, source, 1, cores=frozenset(), has_start=False)
    remove = run.before

    def before() -> None:
        remove()
        server.forget()

    def read(ended: Ended) -> Row:
        if server.first_post_at is None:
            raise BenchmarkFailed("no POST came")
        return {**read_summary(ended), "took_s": server.first_post_at - ended.began_at}

    return dataclasses.replace(run, before=before, read=read)
