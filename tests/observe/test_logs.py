"""Events in the log: a logger and a level for each kind, and nothing set up by us."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import pytest

from bulkwriter import events
from bulkwriter.observe.logs import LEVELS, log_event

from ..cli.test_event_lines import EXAMPLES


def test_every_kind_of_event_has_its_logger_and_level() -> None:
    assert set(LEVELS) == set(events.Event.__args__)


SHOWN = [(event, text) for event, text in EXAMPLES if not isinstance(event, events.Sampled)]


def test_samples_are_no_record_at_any_level(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(1, "bulkwriter"):
        log_event(events.Sampled((0.1,), ()))
    assert not caplog.records


@pytest.mark.parametrize(("event", "_"), SHOWN, ids=lambda e: type(e).__name__)
def test_a_record_has_the_sentence_the_name_and_the_facts(
    event: events.Event, _: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "bulkwriter"):
        log_event(event)
    (record,) = caplog.records
    part, level = LEVELS[type(event)]
    assert (record.name, record.levelno) == (f"bulkwriter.{part}", level)
    assert record.getMessage()
    assert record.__dict__["bulkwriter_event"] == record.__dict__["bulkwriter_event"].lower()
    assert set(record.__dict__["bulkwriter_facts"]) == set(event._fields)
    json.dumps(record.__dict__["bulkwriter_facts"])


def test_a_stop_by_an_error_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    log_event(events.Stopping("the token is refused", "get another", is_error=True))
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_a_level_that_nobody_wants_makes_no_record(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "bulkwriter"):
        log_event(events.Recovered(2.0))
    assert not caplog.records


def test_nothing_is_printed_and_nothing_is_set_up() -> None:
    code = """
import logging
from bulkwriter import events
from bulkwriter.observe.logs import log_event
log_event(events.Stopping("gone", is_error=True))
ours, root = logging.getLogger("bulkwriter"), logging.getLogger()
assert [type(handler) for handler in ours.handlers] == [logging.NullHandler]
assert not root.handlers and not ours.level and ours.propagate
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
