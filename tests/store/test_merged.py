"""The journals of parts as one: it is the journal that one writer of the whole source would have made."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from bulkwriter.core.dedupe import PairSet
from bulkwriter.errors import JournalError
from bulkwriter.model import BadRow, Batch, Counts, State
from bulkwriter.rows import AppendRow, RecordStep, SettleRow, StepRow, bad_row_detail, outcome_detail
from bulkwriter.sources.parts import divided
from bulkwriter.store.history import HistoryRow, Moment
from bulkwriter.store.journal import Journal
from bulkwriter.store.journal_reader import JournalReader
from bulkwriter.store.merged import combined, merge
from bulkwriter.store.schema import JournalIdentity

IDENTITY = JournalIdentity("http://127.0.0.1:1", "", ("CourseLessonId", "CourseMemberId"), "completed lessons")
ROWS = 600
BLOCK = 100
BAD = BadRow("CourseLessonId is no number", "x,y")
NEWS: list[tuple[State, int, int | None, int | None, str | None]] = [
    (State.CREATED, 1, 0, 200, None),
    (State.EXISTING, 0, 0, None, None),
    (State.REJECTED, 2, None, 400, outcome_detail((), "is unknown")),
    (State.FAILED, 5, None, 500, None),
    (State.IN_DOUBT, 1, None, None, None),
]


def source() -> Batch:
    rng = random.Random(20)
    pairs = [None if rng.random() < 0.05 else (rng.randint(1, 5), rng.randint(1, 200)) for _ in range(ROWS)]
    return Batch(pairs, range(2, ROWS + 2), {i: BAD for i, pair in enumerate(pairs) if pair is None})


def written(path: Path, rows: Batch, chosen: Sequence[int], outcomes: Sequence[int]) -> None:
    """A journal of these rows of the source, as a run leaves it."""
    seen = PairSet()
    appended: list[AppendRow] = []
    settled: list[SettleRow] = []
    steps: list[StepRow] = []
    for seq, i in enumerate(chosen):
        pair, line = rows.pairs[i], rows.lines[i]
        if pair is None:
            appended.append((seq, None, None, line, int(State.INVALID), bad_row_detail(BAD)))
        elif not seen.add(pair):
            appended.append((seq, *pair, line, int(State.DUPLICATE), None))
        else:
            appended.append((seq, *pair, line, int(State.INTENT), '{"floor":7}'))
            state, attempts, record, status, detail = NEWS[outcomes[i]]
            settled.append((seq, int(state), attempts, None if record is None else 1_000 + i, status, detail))
            if state is State.FAILED:
                steps.append((seq, 5.0 + i, int(RecordStep.LOST), 500, None, None, None, 0.1, None))
    with journal(path) as made:
        made.append(appended)
        made.settle(settled)
        made.keep_history(None, steps, 0, ())


@contextmanager
def journal(path: Path) -> Iterator[Journal]:
    made = Journal.open(
        path, base_url=IDENTITY.base_url, account=None, columns=IDENTITY.columns, entity=IDENTITY.entity
    )
    try:
        yield made
    finally:
        made.close()


def merged(tmp_path: Path, rows: Batch, parts: int) -> JournalReader:
    blocks = [
        divided(Batch(rows.pairs[at : at + BLOCK], rows.lines[at : at + BLOCK],
                      {i - at: BAD for i in range(at, at + BLOCK) if rows.pairs[i] is None}), at, parts)
        for at in range(0, ROWS, BLOCK)
    ]  # fmt: skip
    with ExitStack() as stack:
        readers = [stack.enter_context(JournalReader(tmp_path / f"part{i}")) for i in range(parts)]
        merge(tmp_path / "whole", IDENTITY, readers, blocks, repeated=PairSet().add_all, meta={"origin": "{}"})
    return JournalReader(tmp_path / "whole")


def places(rows: Batch, parts: int) -> list[list[int]]:
    return [share.seqs for share in divided(rows, 0, parts)]


@pytest.mark.parametrize("parts", [1, 3])
def test_the_parts_make_the_journal_of_the_whole_source(tmp_path: Path, parts: int) -> None:
    rows = source()
    outcomes = [random.Random(i).randrange(len(NEWS)) for i in range(ROWS)]
    written(tmp_path / "alone", rows, range(ROWS), outcomes)
    for i, chosen in enumerate(places(rows, parts)):
        written(tmp_path / f"part{i}", rows, chosen, outcomes)
    with merged(tmp_path, rows, parts) as whole, JournalReader(tmp_path / "alone") as alone:
        assert whole.counts() == alone.counts()
        assert whole.whole(0, ROWS) == alone.whole(0, ROWS)
        failed = [row.seq for row in alone.export({State.FAILED})]
        assert [whole.steps(seq) for seq in failed] == [alone.steps(seq) for seq in failed]
        assert len(failed) > 20
        assert whole.meta()["origin"] == "{}"


def test_rows_that_nobody_has_read_are_as_reading_would_find_them(tmp_path: Path) -> None:
    """Two parts are half done, and one was never begun."""
    rows, outcomes = source(), [0] * ROWS
    for i, chosen in enumerate(places(rows, 3)):
        written(tmp_path / f"part{i}", rows, chosen[: (len(chosen) // 2, 9, 0)[i]], outcomes)
    with merged(tmp_path, rows, 3) as whole:
        found, seen = whole.whole(0, ROWS), PairSet()
        for row, pair, line in zip(found, rows.pairs, rows.lines, strict=True):
            assert (row.pair, row.line) == (pair, line)
            if pair is None:
                assert (row.state, row.message, row.raw) == (State.INVALID, BAD.reason, BAD.raw)
            else:
                assert (row.state is State.DUPLICATE) == (not seen.add(pair))
        assert {row.state for row in found} == {State.CREATED, State.PENDING, State.DUPLICATE, State.INVALID}


def test_a_part_of_other_pairs_is_damage(tmp_path: Path) -> None:
    rows = source()
    for i, chosen in enumerate(places(rows, 2)):
        written(tmp_path / f"part{i}", rows, chosen[1:], [0] * ROWS)
    with pytest.raises(JournalError, match=r"part0: row 0 of this part is of another pair than line \d"):
        merged(tmp_path, rows, 2)


def moment(start: int, at: float, created: int, ended: str | None = None, **others: Any) -> HistoryRow:
    facts = {"attempts": created, "throttled": 1, "in_flight": 2, "in_flight_limit": 4, "allowed_per_s": 5.0}
    now = Moment(start=start, at=at, server_at=None, held="quota", held_s={"quota": at}, spent={"write:9/day": created},
                 steps={"lost": 1}, causes={"timeout": 1}, ended=ended, **facts | others)  # fmt: skip
    return HistoryRow(now, Counts(created=created), created, 0)


def test_histories_are_added_up_in_the_order_of_time() -> None:
    first = [moment(1, 10, 1), moment(1, 20, 5, "left"), moment(2, 100, 6), moment(2, 110, 9, "done")]
    second = [moment(1, 15, 2), moment(1, 30, 8, "done")]
    rows = combined([first, second])
    assert [(row.moment.at, row.moment.start, row.counts.created) for row in rows] == [
        (10, 1, 1), (15, 1, 3), (20, 1, 7), (30, 1, 13), (100, 2, 14), (110, 2, 17),
    ]  # fmt: skip
    assert [row.moment.ended for row in rows] == [None, None, None, "done", None, "done"]
    assert [row.moment.in_flight for row in rows] == [2, 4, 4, 2, 2, 2]
    last = rows[-1].moment
    assert (last.attempts, last.throttled, last.held_s["quota"], last.steps, last.causes) == (
        17, 2, 140, {"lost": 2}, {"timeout": 2},
    )  # fmt: skip
    assert rows[-1].next_seq == 17


def test_long_histories_of_many_parts_stay_within_bounds() -> None:
    each = [[moment(1, at + part / 100, at) for at in range(2_100)] for part in range(5)]
    rows = combined(each)
    assert len(rows) <= 5 * 1_620
    assert rows[-1].counts.created == 5 * 2_099
