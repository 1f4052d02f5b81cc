"""`resolve --enrol`: create the enrolments that rows lack, durably, before the rows are resolved again.

The missing enrolments stand in a file beside the output, PEOPLE.enrolments.csv, and their journal beside that.  Both
are of the same kind as those of a run, only of another entity.  So a killed start goes on without doubles, and
`status`, `verify`, `undo` and `export` take the journal.

Invariants
- the file only grows: pairs are added at its end, so that the journal's rows stay those of the file;
- nothing is sent, and no file is written, before a person or `--yes` has agreed to what was shown.

Not here: which enrolments are missing (`resolve`), and how pairs are written (`writer`).
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..entities.enrolments import APPROVED, ENROLMENTS
from ..errors import SourceError
from ..model import Counts, State, Summary
from ..settings import Settings
from ..shell import join, operand
from . import describe, journals
from .drive import Drive, progress_form
from .ending import Ending
from .export import csv_rows, write_file
from .neighbours import Neighbours

if TYPE_CHECKING:
    from .lifecycle import Invocation

Missing = Mapping[tuple[int, int], Sequence[int]]
"""(course id, coworker id) -> the lines of the table that lack this enrolment."""
LINE = "Line"
TOLD = ("created", "existing", "rejected", "failed", "in_doubt", "pending")
"""The states of enrolments that are told; the file has neither bad rows nor duplicates."""
EXPLAINED = (
    "each makes a person a member of a course, who then sees its lessons",
    "whether the server tells that person by e-mail is not known: try one first where that matters",
)


class EnrolStep:
    """One `--enrol` of a command.  `output` is the file of its resolved rows; `is_approved`: each create says so."""

    def __init__(self, invocation: Invocation, settings: Settings, *, output: Path, is_approved: bool) -> None:
        self._invocation = invocation
        self.file = output.with_name(f"{output.name.removesuffix('.csv').removesuffix('.resolved')}.enrolments.csv")
        self.journal = Path(f"{self.file}.journal")
        self._settings = dataclasses.replace(settings, journal=self.journal)
        self._entity = APPROVED if is_approved else ENROLMENTS
        self.summary: Summary | None = None

    async def run(self, missing: Missing) -> bool:
        """Show what is missing, ask, and create it.  False where nothing was to be done, or nobody agreed.

        Raises what a run raises.  Afterwards `summary` tells how the run stands.
        """
        earlier = await self._earlier()
        added = [pair for pair in missing if pair not in earlier]
        pending = len(added) + sum(state in self._unsent for state in earlier.values())
        doubts = sum(state is State.IN_DOUBT for state in earlier.values())
        self._tell_settled(Counter(earlier[pair] for pair in missing if pair in earlier))
        if not pending + doubts:
            return False
        neighbours = self._neighbours()
        if not self._settings.after_loss:
            before = neighbours.before if neighbours else None
            if lost := journals.note_if_lost(self.journal, before):
                self._invocation.stderr.note(lost)
        self._tell(missing, added, pending=pending, doubts=doubts)
        if pending and not self._invocation.options["yes"]:
            count = describe.quantity(pending, "enrolment")
            if not await self._invocation.ask(f"Create {count} on {self._settings.base_url}?"):
                return False
        if added:
            write_file(self.file, self._lines(earlier, added, missing))
        await self._drive(neighbours)
        return True

    @property
    def _unsent(self) -> set[State]:
        """The states of an earlier start that are sent now."""
        again = {State.REJECTED} if self._settings.retry_rejected else set()
        return {State.PENDING, State.FAILED, *again}

    @property
    def is_done(self) -> bool:
        """Whether the run came to its end, so that rows may be resolved again."""
        return self.summary is not None and self.summary.ended is not None and self.summary.ended.code == "done"

    @property
    def is_left(self) -> bool:
        """Whether some are still to be sent or looked up: the same command goes on with them."""
        counts = self.summary.counts if self.summary else Counts()
        return bool(counts.pending or counts.in_doubt or counts.failed)

    def facts(self) -> dict[str, Any]:
        counts = (self.summary.counts if self.summary else Counts()).to_json()
        return {
            "enrolments": {name: counts[name] for name in TOLD},
            "enrolments_journal": str(self.journal) if self.summary else None,
        }

    def lines(self) -> list[str]:
        """What was enrolled, for people."""
        if self.summary is None:
            return []
        counts = self.summary.counts
        parts = [f"{getattr(counts, name):,} {describe.state(name)}" for name in TOLD if getattr(counts, name)]
        lines = [f"enrolments: {', '.join(parts)}; journal {self.journal}"]
        bad = [name for name in ("rejected", "failed") if getattr(counts, name)]
        if bad:
            command = ["bulkwriter", "export", operand(str(self.journal)), "--state", ",".join(bad), "--output", "-"]
            lines.append(f"  why not: {join(command)}")
        return lines

    async def _earlier(self) -> dict[tuple[int, int], State]:
        """The pairs of the file of an earlier start, in its order, with their states in the journal."""
        if not journals.is_there(self.file):
            return {}
        pairs = pairs_in(self.file)
        states: dict[tuple[int, int], State] = dict.fromkeys(pairs, State.PENDING)
        if not journals.is_there(self.journal):
            return states
        from ..store.journal_reader import JournalReader

        with JournalReader(self.journal) as reader:
            base_url, account = self._settings.base_url, self._settings.account
            reader.require(base_url=base_url, account=account, columns=ENROLMENTS.fields, entity=self._entity.label)
            states |= {
                (row.pair.lesson_id, row.pair.member_id): State.IN_DOUBT if row.state is State.INTENT else row.state
                for row in reader.export(set(State))
                if row.pair is not None
            }
        return states

    def _tell_settled(self, states: Counter[State]) -> None:
        """Which of the missing enrolments an earlier start settled: nothing is sent for those."""
        journal = operand(str(self.journal))
        for state, before, hint in (
            (
                State.REJECTED,
                "was rejected",
                f"why: bulkwriter export {journal} --state rejected --output -; --retry rejected sends them again",
            ),
            (State.CREATED, "was created", "somebody has deleted it since, or lists are old: --refresh asks again"),
        ):
            if (count := states[state]) and state not in self._unsent:
                each = f"{count:,} of the missing enrolments: each {before} by an earlier start, and is not sent again"
                self._invocation.stderr.note(f"{each}; {hint}")

    def _tell(self, missing: Missing, added: Sequence[tuple[int, int]], *, pending: int, doubts: int) -> None:
        """What will be sent, what that means, and how long it takes."""
        courses = {course_id for course_id, _ in added}
        rows = sum(len(missing[pair]) for pair in added)
        before = pending - len(added)
        first, second = ENROLMENTS.fields
        constants = "".join(f', "{name}": {str(value).lower()}' for name, value in self._entity.constants)
        lines = []
        if added:
            are = "is" if len(added) == 1 else "are"
            lines.append(
                f"{describe.quantity(len(added), 'enrolment')} {are} missing in "
                f"{describe.quantity(len(courses), 'course')}, for {describe.quantity(rows, 'row')}"
            )
        if before:
            lines.append(f"{describe.quantity(before, 'enrolment')} of an earlier start {was(before)} not created yet")
        if doubts:
            count = describe.quantity(doubts, "enrolment")
            lines.append(f"{count} of an earlier start {was(doubts)} in doubt: looked up first")
        lines += [
            f'each is one POST to {ENROLMENTS.path} of {{"{first}": …, "{second}": …{constants}}}'
            + ("" if self._entity.constants else "; the server decides whether it is approved"),
            *EXPLAINED,
            self._time(pending),
            f"`bulkwriter undo {operand(str(self.journal))}` deletes those that were made",
        ]
        for line in lines:
            self._invocation.stderr.print(line, event="plan")

    def _time(self, writes: int) -> str:
        from ..quota.build import windows_for
        from ..quota.ledger import account_key
        from .outlook import Outlook

        settings = self._settings
        key = account_key(settings.base_url, settings.account)
        term = Outlook.now(windows_for(settings), settings.ledger, key).together(writes)
        return f"together at least {term.words()}" if term.seconds >= 1 else "as fast as the server takes them"

    def _lines(
        self, earlier: Mapping[tuple[int, int], State], added: Sequence[tuple[int, int]], missing: Missing
    ) -> Iterator[str]:
        """The file with the added pairs at its end; what it had stays, byte for byte."""
        if earlier:
            yield self.file.read_text(encoding="utf-8")
        else:
            yield from csv_rows([[*ENROLMENTS.fields, LINE]])
        yield from csv_rows([*pair, missing[pair][0]] for pair in added)

    def _neighbours(self) -> Neighbours | None:
        is_forced, label = self._invocation.options["yes"], self._entity.label
        return Neighbours.of(self._invocation.stderr, str(self.file), self._settings, is_forced=is_forced, entity=label)

    async def _drive(self, neighbours: Neighbours | None) -> None:
        """Write them, with progress; a signal drains."""
        from ..sources import open_source
        from ..wiring import Assembly
        from ..writer import BulkWriter

        invocation, settings = self._invocation, self._settings

        def open_file() -> Any:
            source = open_source(str(self.file), entity=ENROLMENTS)
            return neighbours.watching(source) if neighbours else source

        drive = Drive(
            invocation.stderr,
            open_source=open_file,
            open_writer=lambda source: BulkWriter(
                settings,
                observers=[invocation.event_lines],
                columns=ENROLMENTS.fields,
                entity=self._entity,
                assemble=partial(Assembly, is_forced=invocation.options["yes"]),
            ),
            progress=progress_form(invocation.stderr, "plain", os.environ),
        )
        try:
            with invocation.on_signal(drive.stop):
                await drive.run()
        finally:
            self.summary = drive.summary()
            if neighbours and self.summary:
                error, code = sys.exception(), invocation.signal_code
                neighbours.end(Ending(summary=self.summary, error=error, signal_code=code))


def was(count: int) -> str:
    return "was" if count == 1 else "were"


def pairs_in(file: Path) -> list[tuple[int, int]]:
    """The pairs of a file that an earlier start wrote.  Raises `SourceError` if somebody changed what it is."""
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            rows = list(csv.reader(lines))
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{file} cannot be read: {error}", hint="name another output with --output") from None
    with contextlib.suppress(ValueError, IndexError):
        if tuple(rows[0][:2]) == ENROLMENTS.fields:
            return [(int(row[0]), int(row[1])) for row in rows[1:]]
    raise SourceError(
        f"{file} is no list of enrolments as an earlier start wrote it",
        hint="restore it, or name another output with --output: its journal then begins anew",
    )
