"""What it costs to look ids up: list calls, memory and CPU of `bulkwriter resolve`, for the ways that an API may be.

    usual          100,000 rows over 40 courses, 20,000 people, 95,000 enrolments; pages of 1,000
    capped         the same with pages of 100
    no e-mails     the same where listed people have no e-mail, so the enrolled ones are read by their ids
    few of many    500 rows over 3 courses in an account of 50,000 people; 20 rows have an unknown e-mail
    killed         `capped`, killed after `KILL_AFTER` list calls and started again: all calls together

Each command is given twice; the second time must take no call, since what lists have shown is kept.  Calls are bars
(`BARS`); a figure above its bar fails the benchmark, as do rows that came out otherwise than before.  The stub makes up
the people; the table is drawn from them with the seed.
"""

from __future__ import annotations

import csv
import json
import os
import random
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from bulkwriter.stub import Scenario
from bulkwriter.stub.community import FIRST_COURSE, FIRST_COWORKER, Community

from .children import BenchmarkFailed, Ended, run_child
from .figures import Row, median_rows
from .servers import Server, stub
from .turns import PYTHON, TOKEN, Findings, Plan

ROWS: Final = 100_000
KILL_AFTER: Final = 600
LIMIT_S: Final = 300.0
MOST_RSS_BYTES: Final = 150e6
PEOPLE: Final = {"coworkers": 20_000, "courses": 40, "lessons": 20, "enrolments": 95_000, "record_bytes": 1_500}
MANY: Final = {"coworkers": 50_000, "courses": 40, "lessons": 20, "enrolments": 20_000}
KEYS: Final = ("calls", "calls_again", "rss_bytes", "cpu_s", "wall_s")


class Case(NamedTuple):
    """One kind of server and table; `most_calls` is its bar, 0 where there is none."""

    scenario: Mapping[str, Any]
    rows: int = ROWS
    courses: int = 40
    unknown: int = 0
    most_calls: int = 0
    kill_after: int = 0


CASES: Final = {
    "usual": Case({"people": PEOPLE}, most_calls=200),
    "capped": Case({"people": PEOPLE, "page_size_max": 100}, most_calls=1_300),
    "no e-mails": Case({"people": {**PEOPLE, "email_in_lists": False}}),
    "few of many": Case({"people": MANY}, 500, courses=3, unknown=20, most_calls=40),
    "killed": Case({"people": PEOPLE, "page_size_max": 100}, most_calls=1_300, kill_after=KILL_AFTER),
}


def measure(plan: Plan) -> Findings:
    runs: list[Row] = []
    for turn in range(plan.rounds):
        for name, case in CASES.items():
            plan.say(f"  {name}, turn {turn + 1}")
            folder = plan.folder / f"{turn}-{name.replace(' ', '-')}"
            folder.mkdir()
            runs.append({"name": name, "turn": turn, **run(case, folder, plan)})
    return Findings(runs=runs, rows=median_rows(runs), keys=KEYS, settings={"rows": ROWS, "kill_after": KILL_AFTER})


def run(case: Case, folder: Path, plan: Plan) -> dict[str, float]:
    """One case: twice the same command, and before that one that is killed where the case says so."""
    scenario = {"seed": plan.seed, **case.scenario}
    rows = min(case.rows, plan.pairs or case.rows)
    table = write_table(folder / "people.csv", scenario, case, rows)
    with stub(folder, plan.cores, scenario) as server:
        argv = [PYTHON, "-m", "bulkwriter", "resolve", str(table), "--base-url", server.base_url, "--force", "--json"]
        env = {"BULKWRITER_TOKEN": TOKEN, "XDG_CACHE_HOME": str(folder)}
        killed = kill_early(argv, env, server, case.kill_after) if case.kill_after else 0
        first, again = (run_child(argv, cores=plan.cores.client, env=env, limit_s=LIMIT_S) for _ in range(2))
    facts, facts_again = facts_of(first), facts_of(again)
    calls = killed + facts["list_calls"]
    if facts["resolved"] != facts_again["resolved"] or facts["rows"] != rows:
        raise BenchmarkFailed("the same table did not come out the same")
    if facts_again["list_calls"]:
        raise BenchmarkFailed(f"the same again took {facts_again['list_calls']} list calls")
    if case.most_calls and calls > case.most_calls:
        raise BenchmarkFailed(f"{calls} list calls, and {case.most_calls} are allowed")
    rss_bytes = first.rss_bytes or 0
    if rss_bytes > MOST_RSS_BYTES:
        raise BenchmarkFailed(f"{rss_bytes / 1e6:.0f} MB of memory, and {MOST_RSS_BYTES / 1e6:.0f} are allowed")
    return {
        "calls": calls,
        "calls_again": facts_again["list_calls"],
        "rss_bytes": rss_bytes,
        "cpu_s": first.cpu_s,
        "wall_s": first.wall_s,
    }


def facts_of(ended: Ended) -> dict[str, Any]:
    """What the command said at its end.  Some rows are never resolved, so 1 is its good exit code here."""
    if ended.exit_code not in (0, 1):
        raise BenchmarkFailed(f"resolve ended with {ended.exit_code}: {ended.err[-500:]}")
    facts: dict[str, Any] = json.loads(ended.out.splitlines()[-1])
    return facts


def kill_early(argv: list[str], env: Mapping[str, str], server: Server, calls: int) -> int:
    """Start the command and kill it after so many list calls; how many it made."""
    process = subprocess.Popen(argv, env={**os.environ, **env}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while process.poll() is None and list_calls(server) < calls:
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    return list_calls(server)


def list_calls(server: Server) -> int:
    with urllib.request.urlopen(f"{server.base_url}/stub/truth") as reply:  # noqa: S310 our own stub
        truth: dict[str, Any] = json.load(reply)
    return int(truth["list_calls"])


def write_table(path: Path, scenario: Mapping[str, Any], case: Case, rows: int) -> Path:
    """A table about enrolled people; the first `unknown` rows have an e-mail of nobody."""
    read = Scenario.from_mapping(scenario)
    assert read.people is not None
    community = Community(read.people, read.rng("people"), seeded_at=0.0)
    rng = random.Random(read.seed)
    last = FIRST_COURSE + case.courses
    enrolments = [(course, person) for _, course, person in community.enrolments.rows() if course < last]
    lessons: dict[int, list[Any]] = {}
    for lesson in community.lessons:
        lessons.setdefault(lesson.course_id, []).append(lesson)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Email", "Course", "Lesson", "Section", "Note"])
        for number in range(rows):
            course, person = rng.choice(enrolments)
            lesson = rng.choice(lessons[course])
            email = community.coworkers[person - FIRST_COWORKER].email
            email = f"nobody{number}@example.com" if number < case.unknown else email
            title = community.courses[course - FIRST_COURSE].title
            writer.writerow([email, title, lesson.title, lesson.section, f"note {number}"])
    return path
