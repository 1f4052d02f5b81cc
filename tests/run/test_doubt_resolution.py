"""What looks make of doubts: a pair whose attempts are used up is failed, and says what the last of them came to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest

from bulkwriter.core.doubts import Doubt
from bulkwriter.core.record_log import RecordLog
from bulkwriter.model import Fault, Intent, Reply, State
from bulkwriter.net.api import ListedRecord
from bulkwriter.run.doubt_resolution import DoubtResolution
from bulkwriter.run.run_loop import RunLoop
from bulkwriter.settings import Settings

from ..support.sender_stage import Stage


class Parked:
    """Doubt resolution beside a real sender; looks are told by hand."""

    def __init__(self) -> None:
        self.stage = Stage(Settings(in_flight=1, max_attempts=2))
        stage = self.stage
        store: Any = SimpleNamespace(counts={State.CREATED: 3})
        self.resolution = DoubtResolution(
            cast(RunLoop, stage.run),
            stage.pairs,
            stage.admission,
            stage.record_ids,
            store,
            RecordLog(),
            is_checked=False,
            clock=lambda: stage.now,
        )

    def absent(self, seq: int) -> None:
        (doubt,) = [doubt for doubt in self.stage.pairs.doubts if doubt.intent.seq == seq]
        self.stage.pairs.doubts.drop(seq)
        self.resolution.absent(doubt.intent)
        self.resolution.release()
        self.stage.run.soon()

    def failed(self) -> str:
        row = self.stage.pairs._rows[-1]
        assert State(row[1]) is State.FAILED
        said: str = orjson.loads(row[5] or "")["message"]
        return said


@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        (
            Reply(500, b'{"Message":"An error has occurred."}'),
            'HTTP 500; it said: {"Message":"An error has occurred."}',
        ),
        (Reply(0, fault=Fault.SILENT), "no reply in time"),
    ],
)
def test_a_failed_pair_tells_what_its_last_attempt_came_to(reply: Reply, cause: str) -> None:
    parked = Parked()
    parked.stage.give(1)
    parked.stage.lane_of(1).answer(Reply(0, fault=Fault.LOST))
    parked.absent(1)
    parked.stage.lane_of(1).answer(reply)
    parked.absent(1)
    assert parked.failed() == f"2 attempts, none of them applied; the last: {cause}"
    assert not parked.stage.pairs._causes


def test_the_cause_outlives_its_process_where_the_journal_has_it() -> None:
    parked = Parked()
    doubts = [Intent(seq, (1, seq), 2, None, None) for seq in (1, 2)]
    parked.stage.pairs.adopted(doubts, 0.0, causes={1: "HTTP 502"})
    parked.absent(1)
    assert parked.failed() == "2 attempts, none of them applied; the last: HTTP 502"
    parked.absent(2)
    assert parked.failed() == "2 attempts, none of them applied"


def test_a_cause_is_forgotten_when_the_record_is_found() -> None:
    parked = Parked()
    parked.stage.pairs.adopted([Intent(1, (1, 1), 2, None, 5)], 0.0, causes={1: "HTTP 502"})
    parked.resolution.found(Doubt(Intent(1, (1, 1), 2, None, 5), 0.0), ListedRecord(77, (1, 1), None))
    assert not parked.stage.pairs._causes


def test_a_source_that_begins_and_ends_between_two_steps_is_news_for_the_looker() -> None:
    """The looker may have planned in between, when the source still went on, and would look a batch later."""
    parked = Parked()
    resolution = parked.resolution
    parked.stage.pairs.adopted([Intent(1, (1, 1), 1, None, None)], 0.0)
    assert (resolution.has_news(), resolution.has_news()) == (True, False)
    resolution.source_begins()
    resolution.source_ends()
    assert (resolution.has_news(), resolution.has_news()) == (True, False)
