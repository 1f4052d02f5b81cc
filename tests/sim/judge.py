"""What must be true of journal and server after a process, however it ended, and at the end of a run.

At any time, of committed rows:
    created     the record of that id is on the server, of that pair, and made by us
    existing    somebody else made a record of the pair
    rejected    the server refuses the pair
    pending, failed    no request of ours has made a record of the pair, and none on its way will
    duplicate, invalid    so says the source
and of the start, which says the same to its caller and in the journal: how many rows the source has, exactly once it
was read to its end, how many of them were not read, and why it ended.
And of the server: at most one record of ours of a pair, none of a pair that a check could see before the run began.

At the end: every pair is settled, once.  Assumption (c) of the README, that nobody else writes the same pairs
meanwhile, holds in every world.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from bulkwriter.model import SETTLED, SINGLE_SEQ, Counts, State, Summary
from bulkwriter.store.journal import Journal
from bulkwriter.store.schema import ExportRow
from bulkwriter.store.starts import last_start, source_rows

from .server import Pair, Server
from .world import World

UNSENT = (State.PENDING, State.FAILED)


class Judge:
    """Compares one world's journal with its server."""

    def __init__(self, world: World, server: Server) -> None:
        self._world = world
        self._server = server
        self._knows_floors = world.settings.existing == "check" or not (
            world.odds.lists or world.outages or world.token_lost_at
        )
        """With `--existing skip` a run whose first list call fails cannot tell its records from older ones, and claims
        none that only a look has found."""

    def after_process(self, journal: Journal, summary: Summary | None) -> list[str]:
        """What is wrong after a process; `summary` is what it said of itself, None if it was killed."""
        rows = whole(journal)
        wrong = self._whatever_was_read(journal, rows, summary)
        wrong += [
            f"{row} is not the source's {self._world.rows[row.seq]}"
            for row in rows
            if row.seq < SINGLE_SEQ and row.pair != self._world.rows[row.seq]
        ]
        return [*wrong, *self._left_wrongs(journal, summary, len([row for row in rows if row.seq < SINGLE_SEQ]))]

    def after_sources(self, journal: Journal, summary: Summary | None) -> list[str]:
        """The same of a process that keeps no journal and has written several sources; `journal` is its memory."""
        rows = whole(journal)
        wrong = self._whatever_was_read(journal, rows, summary)
        if summary and not summary.exit_code and self._knows_floors:
            wrong += self._created_wrongs(rows)
        return wrong

    def _whatever_was_read(self, journal: Journal, rows: list[ExportRow], summary: Summary | None) -> list[str]:
        """What is wrong with these rows of the journal, whichever source they are of."""
        journal.check()
        wrong = [*self._server_wrongs(), *self._row_wrongs(rows)]
        if summary:
            counts = Counts.of(journal.counts())
            if summary.counts != counts:
                wrong.append(f"the summary says {summary.counts}, the journal {counts}")
            if summary.counts != (there := Counts.of(Counter(row.state for row in rows))):
                wrong.append(f"the summary says {summary.counts}, the rows {there}")
            wrong += [f"{row} is an intent after a good end" for row in rows if row.state is State.INTENT]
        return wrong

    def _left_wrongs(self, journal: Journal, summary: Summary | None, read: int) -> Iterator[str]:
        """What the journal and the summary say of the rows that were not read, and of the start's end."""
        meta, total = journal.meta(), len(self._world.rows)
        noted = source_rows(meta, read)
        if noted.total is not None and noted.total != total:
            yield f"{noted} are noted of {total} rows"
        start = last_start(meta)
        if summary is None:
            return
        rows = summary.rows
        if rows != noted and not (rows.total is None or noted.total is None):
            yield f"the summary says {rows}, the journal {noted}"
        if (rows.total not in (None, total)) or rows.read != read or (rows.is_exact and rows.not_read):
            yield f"{rows} are told of {total} rows, of which {read} are read"
        if start is None or start.ended is None or start.ended.reason != summary.reason:
            yield f"the journal says that it ended as {start}, the summary {summary.ended}"

    def at_end(self, journal: Journal) -> list[str]:
        """What is wrong when nothing more is to be done."""
        rows = whole(journal)
        wrong = [f"{row} is not settled" for row in rows if row.state not in SETTLED]
        if len([row for row in rows if row.seq < SINGLE_SEQ]) != len(self._world.rows):
            wrong.append("the journal has not all rows of the source")
        there = {record.pair for record in self._server.records.values()}
        known = there | self._world.refused
        wrong += [f"{row} is lost" for row in rows if row.pair and row.pair not in known]
        return wrong + self._created_wrongs(rows)

    def _created_wrongs(self, rows: list[ExportRow]) -> list[str]:
        """What the rows say that we made, against what we made."""
        ours = Counter[Pair | None](self._server.ours())
        made: Counter[Pair | None] = Counter(row.pair for row in rows if row.state is State.CREATED)
        if self._world.settings.existing == "skip":
            # A pair that the user trusted wrongly not to be there may be found before our own record of it appears.
            for pair in self._world.existing:
                made.pop(pair, None)
                ours.pop(pair, None)
        if not self._knows_floors:
            made.update(row.pair for row in rows if row.state is State.EXISTING and row.pair in ours)
        if made != ours:
            return [f"made by us but not known as created: {ours - made}; the other way round: {made - ours}"]
        return []

    def _server_wrongs(self) -> Iterator[str]:
        ours = self._server.ours()
        ours.update(self._server.on_their_way())
        for pair, count in ours.items():
            if count > 1:
                yield f"{pair} is doubled, or will be: {count} times ours"
        if self._world.settings.existing == "check":
            for pair in set(self._world.existing) & set(ours):
                yield f"{pair} was there before, and we sent it"

    def _row_wrongs(self, rows: list[ExportRow]) -> Iterator[str]:
        seen: set[Pair] = set()
        ours = self._server.ours()
        ours.update(self._server.on_their_way())
        for row in rows:
            yield from (f"{row}: {what}" for what in self._claims(row, ours))
        for row in sorted(rows, key=lambda row: row.state is State.DUPLICATE):
            if row.pair is None:
                continue
            if (row.pair in seen) != (row.state is State.DUPLICATE):
                yield f"{row}: a pair has not exactly one row that is no duplicate"
            seen.add(row.pair)

    def _claims(self, row: ExportRow, ours: Counter[Pair]) -> Iterator[str]:
        records = self._server.records
        pair = row.pair
        if pair is None:
            if row.state is not State.INVALID:
                yield "no pair, but not invalid"
            return
        record = records.get(row.record_id) if row.record_id else None
        match row.state:
            case State.CREATED:
                if record is None or record.pair != pair or not record.is_ours:
                    yield f"created? {record}"
            case State.EXISTING if self._knows_floors:
                if row.record_id and (record is None or record.pair != pair or record.is_ours):
                    yield f"existing? {record}"
                if not any(r.pair == pair and not r.is_ours for r in records.values()):
                    yield "existing? nobody else made it"
            case State.REJECTED:
                is_double = self._world.is_unique and any(r.pair == pair for r in records.values())
                if pair not in self._world.refused and not is_double:
                    yield "rejected? the server would take it"
            case State.PENDING | State.FAILED:
                if ours[pair]:
                    yield "surely not applied? it was, or will be"
            case State.INVALID:
                yield "invalid? it is a pair"


def whole(journal: Journal) -> list[ExportRow]:
    """Every row."""
    return list(journal.export(set(State)))
