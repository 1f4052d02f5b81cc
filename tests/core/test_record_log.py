"""The steps of records with trouble: which there are, what they hold, and that they stay few."""

from __future__ import annotations

import pytest

from bulkwriter.core import record_log
from bulkwriter.core.record_log import BURST, STEPS_PER_S, RecordLog
from bulkwriter.core.rulings import PairEvent
from bulkwriter.model import Fault, FieldError, Intent, Reply, State, Verdict, VerdictKind
from bulkwriter.rows import ABSENT_REFUSED, RecordStep

WALL = 1e9


def intent(seq: int = 0) -> Intent:
    return Intent(seq, (1, 2), 0, 2, None)


@pytest.mark.parametrize(
    ("event", "kind", "reply", "step", "word", "status"),
    [
        (PairEvent.BACK, VerdictKind.THROTTLED, Reply(429), RecordStep.THROTTLED, None, 429),
        (PairEvent.BACK, VerdictKind.UNSENT, Reply(0, fault=Fault.UNSENT), RecordStep.UNSENT, "unsent", None),
        (PairEvent.BACK, VerdictKind.UNAUTHORIZED, Reply(401), RecordStep.STOPPED, None, 401),
        (PairEvent.BACK, VerdictKind.STOP, Reply(403), RecordStep.STOPPED, None, 403),
        (PairEvent.LOST, VerdictKind.IN_DOUBT, Reply(0, fault=Fault.SILENT), RecordStep.LOST, "silent", None),
        (PairEvent.LOST, VerdictKind.IN_DOUBT, Reply(500), RecordStep.LOST, None, 500),
        (PairEvent.HELD, VerdictKind.REJECTED, Reply(400), RecordStep.REFUSED, "MemberId", 400),
    ],
)
def test_an_attempt_is_kept_with_status_and_our_own_words(
    event: PairEvent, kind: VerdictKind, reply: Reply, step: RecordStep, word: str | None, status: int | None
) -> None:
    log = RecordLog()
    verdict = Verdict(kind, errors=(FieldError("MemberId", "ann@example.com is unknown"),), message="secret words")
    log.attempt(intent(), event, verdict, reply, sent_at=10.0, now=12.5)
    assert log.take(13.0, WALL) == [(0, WALL - 0.5, step, status, word, None, None, 2.5, None)]
    assert log.open == {0}
    assert not log.has_rows


@pytest.mark.parametrize("name", ["ann@example.com", "a b", "<b>", ""])
def test_what_is_no_property_is_not_kept(name: str) -> None:
    log = RecordLog()
    verdict = Verdict(VerdictKind.REJECTED, errors=(FieldError(name, "no"),))
    log.attempt(intent(), PairEvent.HELD, verdict, Reply(400), sent_at=0.0, now=1.0)
    assert log.take(1.0, WALL)[0][4] in ("other", "none")


def test_a_record_is_followed_until_it_is_settled() -> None:
    log = RecordLog()
    log.adopted([3, 4], 1.0)
    log.absent(3, 2.0)
    log.found(4, 77, 2.0)
    log.recalled([4], 3.0)
    log.settled([(3, int(State.CREATED))], 4.0)
    assert [(row[0], RecordStep(row[2]).word, row[5], row[6]) for row in log.take(4.0, WALL)] == [
        (3, "adopted", None, None), (4, "adopted", None, None), (3, "absent", None, None), (4, "found", 77, None),
        (4, "recalled", None, None), (3, "settled", None, State.CREATED),
    ]  # fmt: skip
    assert log.open == {4}


def test_first_steps_are_bounded_and_all_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_log, "MOST_OPEN", 10**9)
    log = RecordLog()
    log.adopted(range(BURST + 50), 1.0)
    assert (len(log.open), log.left_out) == (BURST, 50)
    log.adopted(range(10**6, 10**6 + 1_000), 2.0)
    assert len(log.open) == BURST + STEPS_PER_S
    assert log.totals["adopted"] == BURST + 1_050
    log.found(0, 5, 3.0)  # of a record that is open every step is kept
    assert len(log.take(3.0, WALL)) == BURST + STEPS_PER_S + 1


def test_few_records_are_open_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_log, "MOST_OPEN", 2)
    log = RecordLog()
    log.adopted([1, 2, 3], 1.0)
    assert (log.open, log.left_out) == ({1, 2}, 1)


def test_causes_of_losses_are_counted_by_a_bounded_number_of_words() -> None:
    log = RecordLog()
    for status in range(500, 600):
        log.attempt(intent(status), PairEvent.LOST, Verdict(VerdictKind.IN_DOUBT), Reply(status), sent_at=0, now=1)
    log.repeated(7, 1.0, took_s=0.1)
    assert len(log.causes) == 21
    assert sum(log.causes.values()) == 101


def test_a_refusal_that_stands_is_no_release() -> None:
    log = RecordLog()
    log.absent(1, 1.0)
    log.absent(2, 1.0, is_refused=True)
    assert log.totals == {"absent": 2, ABSENT_REFUSED: 1}
