"""The recipes of `help machines` and the exit codes: which ends of a worker start another one."""

from __future__ import annotations

import re
import signal

from bulkwriter.cli.manual_machines import MACHINES
from bulkwriter.errors import Exit

FINAL = {Exit.USAGE, Exit.CONFIGURATION, Exit.JOURNAL, Exit.SOURCE}
"""A person must do something first."""
AGAIN = {Exit.DOUBTS, Exit.TRY_LATER}


def codes(pattern: str) -> set[int]:
    (found,) = re.findall(pattern, MACHINES)
    return {int(code) for code in re.findall(r"\d+", found)}


def test_nothing_starts_a_worker_again_where_a_person_must_act_first() -> None:
    assert codes(r"RestartPreventExitStatus=(.*)") == FINAL
    assert codes(r"FailJob, onExitCodes: {operator: In, values: \[(.*?)\]") == FINAL


def test_a_worker_that_was_drained_is_started_again_by_slurm_alone() -> None:
    drained = 128 + signal.SIGTERM
    assert codes(r"SuccessExitStatus=(.*)") == {Exit.INCOMPLETE, drained}
    assert codes(r"case \$\? in (.*?)\) scontrol requeue") == AGAIN | {drained}
