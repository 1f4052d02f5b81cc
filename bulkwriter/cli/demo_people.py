"""`bulkwriter demo --people`: the whole way from a spreadsheet with e-mails to records, against a stub.

    resolve --enrol     e-mails and titles -> ids; what rows lack is created
    plan, run, verify   as with any SOURCE
    export              what the server refused, with the person's own columns

Each step is the very command, printed before its output.  The people are made up by the stub, the spreadsheet by
`stub.sheet`, which knows what is right for each row.  Afterwards the stub's records are held against that: the exit
code is 0 only if every row that means a record has it exactly once, and no other has.

Not here: the stub's process, and the folder (`demo`).
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..entities.enrolments import ENROLMENTS
from ..shell import join
from .main import main, put_stderr

if TYPE_CHECKING:
    from ..stub.community import Community
    from ..stub.sheet import SheetRow

Get = Callable[[str], bytes]
"""The body of an admin call of the stub, by its path."""
SCENARIO: dict[str, Any] = {"people": {"completions": "open"}}
TABLE, RESOLVED = "people.xlsx", "people.resolved.csv"


def make_table(folder: Path, scenario: dict[str, Any]) -> tuple[Community, list[SheetRow]]:
    """Write the spreadsheet; the people that the stub will make up, and what is right for each row."""
    from ..stub.community import Community
    from ..stub.scenario import Scenario
    from ..stub.sheet import SheetPlan, as_xlsx, draw_sheet

    made = Scenario.from_mapping(scenario)
    assert made.people is not None
    community = Community(made.people, made.rng("people"), seeded_at=0.0)
    rows = draw_sheet(SheetPlan(), community, random.Random(made.seed))  # noqa: S311  made-up rows
    (folder / TABLE).write_bytes(as_xlsx(rows))
    return community, rows


def show(where: list[str], how: list[str]) -> dict[str, int]:
    """The commands, one after another, in the table's folder; their exit codes.  `where` says which server, `how` is
    for the run."""
    steps = {
        "resolve": [TABLE, *where, "--accept", "inactive", "--enrol", "--yes"],
        "plan": [RESOLVED, *where],
        "run": [RESOLVED, *where, *how],
        "verify": [f"{RESOLVED}.journal", *where],
        "export": [f"{RESOLVED}.journal", "--state", "rejected", "--output", "-"],
    }
    codes: dict[str, int] = {}
    for name, arguments in steps.items():
        put_stderr(f"\n$ {join(['bulkwriter', name, *arguments])}")
        codes[name] = main([name, *arguments])
        if codes[name] > 1:  # 1: some rows were not resolved, or refused, which is what is shown
            break
    return codes


def judge(community: Community, rows: list[SheetRow], there: Counter[tuple[int, int]], get: Get) -> bool:
    """Say whether the stub has what is right for the sheet, and nothing else."""
    wanted = wanted_pairs(community, rows, get)
    doubled = json.loads(get("/stub/truth"))["people"]["enrolment_doubles"]
    missing, strange = len(wanted - there), len(there - wanted)
    put_stderr(
        f"\nOf {len(rows):,} rows {len(wanted):,} mean a record that the server takes.  The stub itself counts"
        f" {sum(there.values()):,} records: {missing:,} missing, {strange:,} that no row means; and {doubled:,}"
        " enrolments twice."
    )
    return not (missing or strange or doubled)


def wanted_pairs(community: Community, rows: list[SheetRow], get: Get) -> Counter[tuple[int, int]]:
    """The pairs that should be there: rows that mean one, and rows that lacked nothing but an enrolment."""
    enrolled: dict[tuple[int, int], int] = {}
    for row in map(json.loads, get("/stub/enrolments").splitlines()):
        first, second = (row[name] for name in ENROLMENTS.fields)
        enrolled[first, second] = row["Id"]
    wanted: Counter[tuple[int, int]] = Counter()
    for one in rows:
        first = one.pair[0]
        if not one.why:
            wanted[one.pair] += 1
        elif one.why == "not enrolled":
            profiles = community.ids_of(one.cells[0])
            if len(profiles) == 1:  # of several there is none to choose
                wanted[first, enrolled.get((community.course_of(first), profiles[0]), 0)] += 1
    return wanted
