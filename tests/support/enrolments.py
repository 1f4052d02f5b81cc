"""A sheet of made-up people whose rows lack enrolments, and `resolve --enrol` killed again and again under faults.

`campaign` is judged by what the stub itself counts: enrolments that are missing, doubled, or called created though the
server has another pair under that id; then `undo`, after which the server must have what it had before.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from bulkwriter.stub.community import Community
from bulkwriter.stub.scenario import Scenario
from bulkwriter.stub.sheet import SheetPlan, SheetRow, as_csv, draw_sheet
from bulkwriter.stub.thread import StubThread
from tests.conftest import CANARY
from tests.support.cli_asking import said
from tests.support.cli_process import finish, start, stub
from tests.support.compare import Comparison, compare_enrolments

PEOPLE: Mapping[str, Any] = {
    "coworkers": 600, "courses": 6, "enrolments": 900, "blocked": 0.0, "unapproved": 0.0,
}  # fmt: skip
PLAN = SheetPlan(total=200, unknown=3, ambiguous=2, not_enrolled=120, other_course=1, inactive=1)
QUICK = ("--late-apply=0.4", "--list-lag=0.2", "--timeout=1", "--yes", "--json")
MOST_LAST_STARTS = 6
UNSETTLED = ("failed", "in_doubt", "pending")


class Table(NamedTuple):
    """A sheet on disk; `wanted` are the enrolments that its rows lack, `hopeless` how many rows cannot be enrolled."""

    path: Path
    wanted: list[tuple[int, int]]
    hopeless: int

    @property
    def journal(self) -> Path:
        return self.path.with_name("people.enrolments.csv.journal")


def write_table(folder: Path, plan: SheetPlan = PLAN, people: Mapping[str, Any] = PEOPLE) -> Table:
    """A sheet of the people of a stub with this scenario and seed 0."""
    scenario = Scenario.from_mapping({"people": people})
    assert scenario.people is not None
    community = Community(scenario.people, scenario.rng("people"), seeded_at=0.0)
    rows = draw_sheet(plan, community, random.Random(5))
    table = folder / "people.csv"
    table.write_text(as_csv(rows), encoding="utf-8")
    lacking = [lacking_of(community, row) for row in rows if row.why == "not enrolled"]
    wanted = sorted({pair for pair in lacking if pair})
    return Table(table, wanted, lacking.count(None))


def lacking_of(community: Community, row: SheetRow) -> tuple[int, int] | None:
    """The enrolment that a row lacks; None where several profiles could get it."""
    profiles = community.ids_of(row.cells[0])
    return (community.course_of(row.lesson_id), profiles[0]) if len(profiles) == 1 else None


def created(server: StubThread) -> int:
    """How many enrolments requests have made."""
    count: int = server.truth()["people"]["enrolments_created"]
    return count


@dataclass(slots=True)
class Ending:
    """What a campaign saw."""

    kills: int = 0
    last_starts: int = 0
    wanted: int = 0
    created: int = 0
    compared: Comparison | None = None
    undone: int = 0
    is_as_before: bool = False

    @property
    def is_clean(self) -> bool:
        is_whole = self.compared == (0, 0, 0) and self.created == self.wanted
        return is_whole and self.undone == self.created and self.is_as_before


def campaign(
    table: Table, faults: Sequence[Mapping[str, Any]], *, kills: int, people: Mapping[str, Any] = PEOPLE
) -> Ending:
    """Kill up to `kills` starts, each after some creates; then give the command until all is settled, then undo."""
    rng, ending = random.Random(7), Ending(wanted=len(table.wanted))
    with stub(people=people, faults=faults, latency_s=0.01, list_lag_s=0.1) as server:
        before = server.enrolments()
        command = ("resolve", str(table.path), "--base-url", server.base_url, "--enrol", *QUICK)
        step = max(2, 2 * len(table.wanted) // (kills + 1))
        while ending.kills < kills and kill_one(command, server, rng.randrange(1, step)):
            ending.kills += 1
        while ending.last_starts < MOST_LAST_STARTS:
            ending.last_starts += 1
            done = finish(start(*command))
            if done.code == 1 and not any(said(done)["enrolments"][name] for name in UNSETTLED):
                break
        ending.compared, ending.created = compare_enrolments(table.wanted, server, table.journal), created(server)
        server.set_scenario(tokens=[CANARY], people=people)
        undone = finish(start("undo", str(table.journal), "--base-url", server.base_url, *QUICK[:2], "--yes", "--json"))
        ending.undone, ending.is_as_before = said(undone)["deleted"], server.enrolments() == before
    return ending


def kill_one(command: Sequence[str], server: StubThread, count: int) -> bool:
    """Start, wait until `count` more are created, kill.  False if it had ended by itself."""
    process = start(*command)
    limit, aim = time.monotonic() + 120, created(server) + count
    while process.poll() is None and created(server) < aim and time.monotonic() < limit:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    finish(process)
    return process.returncode == -signal.SIGKILL
