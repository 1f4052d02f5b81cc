"""What the driver tells of its workers: when the run is over, what it raises, and what is said once only.

The driver is a fake process here: lines in, lines out.  The real one, on a real cluster, is `scripts/machines ray`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from bulkwriter.cli.ending import is_of_loss
from bulkwriter.errors import COMMITS_LOST, BulkwriterError, ConfigurationStop, JournalError, StoreGone, TryLater
from bulkwriter.on_ray import crew as crew_module
from bulkwriter.on_ray.actor import Order, facts_in
from bulkwriter.on_ray.crew import Crew
from bulkwriter.on_ray.driver import Placing

PLACED = [{"event": "placed", "worker": n, "host": f"h{n}", "pid": n, "version": "1"} for n in range(2)]
DRIVER = """
import sys
placing = sys.stdin.readline()
for line in {lines!r}:
    print(line, flush=True)
if {waits}:
    print('{{"event": "heard", "line": "' + sys.stdin.readline().strip() + '"}}', flush=True)
"""


def ended(worker: int, code: int = 0, **facts: Any) -> dict[str, Any]:
    return {"event": "ended", "worker": worker, "code": code, "reason": "why", "facts": facts}


def lost(worker: int) -> dict[str, Any]:
    return {"event": "lost", "worker": worker, "message": "gone"}


class Heard:
    """A crew whose driver says these things, and what is told of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, events: list[dict[str, Any]], *, waits: bool = False) -> None:
        code = DRIVER.format(lines=[json.dumps(event) for event in events], waits=waits)
        monkeypatch.setattr(crew_module, "DRIVER", (sys.executable, "-c", code))
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.crew = Crew(Placing(Order(["work"]), 2), lambda name, facts: self.told.append((name, facts)))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.told]


async def test_a_run_is_over_once_every_worker_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Heard(monkeypatch, [*PLACED, ended(0, attempts=5), ended(1, 1, attempts=7)])
    await heard.crew.run()
    assert heard.names == ["placed", "placed", "ended", "ended"]
    assert heard.crew.told("attempts") == 12
    assert heard.crew.hosts == {"h0", "h1"}


async def test_a_worker_that_waits_for_a_node_does_not_keep_a_finished_job(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Heard(monkeypatch, [*PLACED, lost(0), ended(1)], waits=True)
    await heard.crew.run()
    assert heard.told[-1] == ("heard", {"line": "stop"})


async def test_a_loss_is_told_once_until_the_worker_is_placed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Heard(monkeypatch, [*PLACED, lost(0), lost(0), PLACED[0], lost(0), PLACED[0], ended(0), ended(1)])
    await heard.crew.run()
    assert heard.names.count("lost") == 2
    assert heard.crew.lost == 2


async def test_an_error_of_one_worker_stops_the_others_and_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Heard(monkeypatch, [*PLACED, ended(0, 4)], waits=True)
    with pytest.raises(ConfigurationStop, match="a worker ended with 4: why"):
        await heard.crew.run()
    assert heard.told[-1] == ("heard", {"line": "stop"})


@pytest.mark.parametrize(("code", "kind"), [(75, StoreGone), (5, JournalError)])
async def test_lost_commits_that_a_worker_met_are_told_as_such(
    monkeypatch: pytest.MonkeyPatch, code: int, kind: type[JournalError]
) -> None:
    """Or the next step would be the same command, which is refused."""
    heard = Heard(monkeypatch, [*PLACED, ended(0, code, ended_code=COMMITS_LOST)], waits=True)
    with pytest.raises(kind, match="why") as caught:
        await heard.crew.run()
    assert (is_of_loss(caught.value), int(caught.value.exit_code)) == (True, code)
    assert "--after-loss" in caught.value.hint.typed


@pytest.mark.parametrize("events", [[], PLACED, [*PLACED, lost(0)], [{"event": "failed", "message": "m", "hint": "h"}]])
async def test_a_cluster_that_is_gone_is_later(monkeypatch: pytest.MonkeyPatch, events: list[dict[str, Any]]) -> None:
    with pytest.raises(TryLater):
        await Heard(monkeypatch, events).crew.run()


def test_every_exit_code_of_a_worker_has_its_error() -> None:
    for code, kind in crew_module.KINDS.items():
        assert issubclass(kind, BulkwriterError)
        assert kind.exit_code == code


def test_the_facts_of_a_worker_are_the_last_line_that_it_printed() -> None:
    assert facts_in('noise\n{"attempts": 3}\n') == {"attempts": 3}
    assert facts_in("") == facts_in("noise") == facts_in("[1]") == {}


def test_a_placing_is_what_was_written() -> None:
    placing = Placing(Order(["work", "--json"]), 3, "head:6379")
    assert Placing.read(placing.line()) == placing
