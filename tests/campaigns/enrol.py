"""`python -m tests.campaigns.enrol [KILLS] [ENROLMENTS]`: `resolve --enrol` killed under every fault of a run.

One campaign of `tests/support/enrolments.py`, in a folder of its own: what the server then has is compared with what
the rows lacked, and `undo` must take back exactly what was made.  Otherwise exit 1.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from bulkwriter.stub.sheet import SheetPlan
from tests.support.enrolments import PEOPLE, campaign, write_table
from tests.support.kills import all_faults
from tests.support.progress import say


def main(kills: int = 20, count: int = 1_200) -> int:
    people = {**PEOPLE, "coworkers": 3 * count, "courses": 8, "enrolments": 4 * count}
    plan = SheetPlan(total=count + 50, unknown=20, ambiguous=5, not_enrolled=count, other_course=3, inactive=2)
    # A connection has no kind of record, so faults of connections are left out.
    faults = [{**fault, "resource": "enrolments"} for fault in all_faults() if "connect_" not in fault["kind"]]
    began_at = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bulkwriter-enrol-") as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        ending = campaign(write_table(Path(folder), plan, people), faults, kills=kills, people=people)
    say(f"{'clean' if ending.is_clean else 'WRONG'}, in {time.monotonic() - began_at:.0f} s: {ending}")
    return 0 if ending.is_clean else 1


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
