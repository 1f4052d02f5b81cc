"""What an actor does: it starts `bulkwriter work` as a process of its node, and waits for its end.

    WorkerActor    `where` it is, its `work`, and how to `stop` that in good order
    main           the process: `python -m bulkwriter.on_ray.actor ARGUMENTS OF work`

A process of its own, since a worker needs an event loop, signals and a main thread for itself, and is then the very
worker that systemd or Kubernetes start.  What it says goes to the actor's stderr, which Ray gathers.  It takes its
sign-in, and the password of the database, from the environment and the files of its node: nothing secret comes by way
of Ray.

The process ends with its actor: it reads its stdin, which ends when the actor dies in whatever way, and kills itself
then.  Nothing relies on that.  A worker that lives on without its actor holds its part like any other, or loses it
by its lease.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import Any, Final

from .. import __version__

STOPPED: Final = 128 + signal.SIGTERM
LONGEST_WORDS: Final = 300


@dataclass(frozen=True, slots=True)
class Order:
    """What every worker is told: the arguments of `bulkwriter work`.  There is no secret in it."""

    arguments: list[str]


class WorkerActor:
    """One worker.  Its methods may be called at the same time, each in a thread of its own."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._process: subprocess.Popen[str] | None = None
        self._is_stopped = False

    def where(self) -> dict[str, Any]:
        """Where it is: asked first, so that a node that lacks something says so before there is work."""
        return {"host": socket.gethostname(), "pid": os.getpid(), "version": __version__}

    def work(self) -> dict[str, Any]:
        """Work until nothing is left; how it ended: its exit code, why, and the object of `--json`."""
        if self._is_stopped:
            return {"code": STOPPED, "reason": "", "facts": {}}
        command = [sys.executable, "-m", __name__, *self._order.arguments]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 ours
            self._process = process
            assert process.stdout
            said = process.stdout.read()
        self._process = None
        facts = facts_in(said)
        return {
            "code": process.returncode,
            "reason": str(facts.get("ended_reason") or "")[:LONGEST_WORDS],
            "facts": facts,
        }

    def stop(self) -> None:
        """Drain: what is on the wire may end, and `work` returns."""
        self._is_stopped = True
        if (process := self._process) is not None:
            process.send_signal(signal.SIGTERM)


def facts_in(said: str) -> dict[str, Any]:
    """The object on the last line of a command's stdout, or {}."""
    try:
        found = json.loads(said.splitlines()[-1])
    except (IndexError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def main() -> None:
    """Be the worker's process."""
    from ..__main__ import main as command_line

    threading.Thread(target=end_with_stdin, name="actor", daemon=True).start()
    sys.argv[1:1] = ["work"]
    command_line()


def end_with_stdin() -> None:
    """Wait for the end of stdin, and be gone."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
