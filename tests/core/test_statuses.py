"""One meaning of statuses for every kind of call: all callers are held against the one table, status by status.

Whoever keeps a list of statuses of its own differs here as soon as the table changes: what is expected of each caller
is what the table says, for every status, with the bodies and headers that matter to it.  And a row with a status that
nobody has is put into the table: from then on creates, lists, deletes, tokens and quotas take it for a throttle.
"""

from __future__ import annotations

import ast
import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import pytest

from bulkwriter.clocks import Clocks
from bulkwriter.core import classify as table
from bulkwriter.core.classify import Rule, classify, judge_call
from bulkwriter.entities.completed_lessons import COMPLETED_LESSONS
from bulkwriter.errors import BulkwriterError, ConfigurationStop, TryLater
from bulkwriter.events import Throttled
from bulkwriter.listing.lister import Lister
from bulkwriter.listing.lists import ListFailed
from bulkwriter.listing.retry_until_deadline import CallFailed, RetryUntilDeadline
from bulkwriter.model import CallKind, Reply, Verdict, VerdictKind
from bulkwriter.net.api import Api
from bulkwriter.quota.gate import Turns
from bulkwriter.settings import Settings
from bulkwriter.verify.deletes import Deleter, Fate
from bulkwriter.verify.stop_signal import StopSignal
from tests.sim.loop import run_virtual
from tests.support.model_api import BASE_URL, Tokens
from tests.support.quota_stage import Machine
from tests.support.sender_stage import Stage
from tests.support.token_fakes import Endpoint

ENVELOPE = b'{"Message":"no","Errors":[{"PropertyName":"Id","Message":"no"}],"WasSuccessful":false}'
BODIES = (b"", b"<html>no</html>", b'"Not found"', b'{"error":"no"}', ENVELOPE)
STATUSES = [*range(200, 600), 999]
REPLIES = [Reply(status, body, wait) for status, body, wait in product(STATUSES, BODIES, (None, "1"))]
SETTINGS = Settings(base_url=BASE_URL, token="canary", give_up_after_s=1e6)


def verdict_of(reply: Reply) -> Verdict:
    """What the same reply means to a create."""
    return classify(reply, has_created=False, is_current_token=True, wall_s=0.0)


def test_every_call_means_by_a_status_what_a_create_does() -> None:
    for reply in REPLIES:
        create, call = verdict_of(reply), judge_call(reply, 0.0)
        assert (call.kind is CallKind.THROTTLED) == (create.kind is VerdictKind.THROTTLED), reply
        assert (call.kind is CallKind.STOP) == (create.kind is VerdictKind.STOP), reply
        assert (call.kind is CallKind.UNAUTHORIZED) == (create.kind is VerdictKind.UNAUTHORIZED), reply
        assert (call.kind is CallKind.REFUSED) == (create.kind is VerdictKind.REJECTED), reply
        assert call.is_slow_down == create.is_slow_down, reply
        assert call.is_later >= create.is_busy, reply
        assert (call.kind is CallKind.ANSWERED) == (200 <= reply.status <= 299 and call.kind is not CallKind.REFUSED)


def as_list_call(reply: Reply) -> str:
    """What a `Lister` makes of it."""

    async def request(data: bytes) -> Reply:
        return reply

    async def main() -> str:
        lister = Lister(request, Api(BASE_URL, COMPLETED_LESSONS), Tokens(), wall=lambda: 0.0, most_age_s=5.0)
        with pytest.raises(ListFailed) as raised:
            await lister.page({}, 1)
        failed = raised.value
        verdict = judge_call(reply, 0.0)
        assert (failed.retry_after_s, failed.is_slow_down) == (verdict.retry_after_s, verdict.is_slow_down)
        return "stop" if failed.is_forbidden else "odd" if failed.is_odd else "again"

    return run_virtual(main)


def test_list_calls_follow_the_table() -> None:
    ways = {
        CallKind.ANSWERED: "odd",  # none of these bodies is a list
        CallKind.REFUSED: "odd",
        CallKind.THROTTLED: "again",
        CallKind.AGAIN: "again",
        CallKind.UNAUTHORIZED: "stop",
        CallKind.STOP: "stop",
    }
    for reply in REPLIES:
        assert as_list_call(reply) == ways[judge_call(reply, 0.0).kind], reply


def as_delete(*replies: Reply) -> tuple[Fate, BulkwriterError | None, list[CallFailed]]:
    """What becomes of a DELETE that is answered so, the last reply again and again, and what was told of it."""
    left, told = list(replies), list[CallFailed]()

    async def request(data: bytes) -> Reply:
        return left.pop(0) if len(left) > 1 else left[0]

    async def main() -> tuple[Fate, BulkwriterError | None, list[CallFailed]]:
        stop = StopSignal()
        retry = RetryUntilDeadline(
            SETTINGS,
            clocks=Clocks(clock=asyncio.get_running_loop().time, wall=lambda: 0.0),
            tell=lambda failure, pause_s: told.append(failure),
            rng=random.Random(1),
            hint="",
        )
        api = Api(BASE_URL, COMPLETED_LESSONS)
        deleter = Deleter(request, api, Tokens(), SETTINGS, wall=lambda: 0.0, retry=retry, stop=stop)
        return await deleter.delete(7), stop.error, told

    return run_virtual(main)


def test_deletes_follow_the_table() -> None:
    for reply in REPLIES:
        verdict = judge_call(reply, 0.0)
        kind = verdict.kind
        if kind is CallKind.THROTTLED:
            continue
        fate, error, told = as_delete(reply)
        if reply.status == 404:  # what a DELETE is for
            assert (fate, error) == (Fate.GONE, None)
            continue
        assert isinstance(error, ConfigurationStop) == (kind in (CallKind.STOP, CallKind.UNAUTHORIZED)), reply
        assert (fate is Fate.REFUSED) == (kind is CallKind.REFUSED), reply
        assert (fate is Fate.DELETED) == (kind is CallKind.ANSWERED and not reply.body), reply
        assert all(failure.is_slow_down == verdict.is_slow_down for failure in told), reply


def test_a_throttled_delete_goes_again_and_was_not_lost() -> None:
    for reply in REPLIES:
        if judge_call(reply, 0.0).kind is CallKind.THROTTLED:
            fate, error, told = as_delete(*[reply] * 20, Reply(404))
            assert (fate, error, len(told)) == (Fate.GONE, None, 20), reply
            assert all(failure.is_slow_down and failure.is_answer for failure in told), reply


def heard_as_throttle(folder: Path, reply: Reply) -> bool:
    """Whether the quotas were told of a throttle."""
    heard: list[bool] = []

    async def request(data: bytes, *, deadline_s: float) -> Reply:
        return reply

    async def main() -> None:
        machine = Machine(folder, ["read:9/hour"], random.Random(1))
        quotas = machine.quotas()
        clocks = Clocks(clock=asyncio.get_running_loop().time, boot=machine.boot_clock, wall=machine.wall)
        await quotas.begin()
        side = quotas.classes["read"].streak
        await Turns(request, quotas, clocks)(b"GET / HTTP/1.1\r\n\r\n", deadline_s=1.0)
        heard.append(bool(side.throttles))
        await quotas.aclose()

    run_virtual(main)
    return heard[0]


@pytest.mark.parametrize("reply", [r for r in REPLIES if r.status in (200, 400, 401, 409, 429, 503) and r.retry_after])
def test_quotas_hear_of_throttles_as_the_table_has_them(tmp_path: Path, reply: Reply) -> None:
    assert heard_as_throttle(tmp_path, reply) == (judge_call(reply, 0.0).kind is CallKind.THROTTLED)


async def test_the_sign_in_asks_again_where_the_table_says_later() -> None:
    for reply in REPLIES:
        endpoint = Endpoint(*[reply] * 9)
        with pytest.raises(BulkwriterError) as raised:
            await endpoint.sign_in()(is_first=True)
        assert isinstance(raised.value, TryLater) == judge_call(reply, 0.0).is_later, reply


# a status that nobody has


@contextmanager
def with_rule(rule: Rule) -> Iterator[None]:
    """The table with one row more.  All there is to change for a new status is the table, so a test must change it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table, "RULES", (rule, *table.RULES))
        yield


MADE_UP = Reply(469, b"", "7")
THROTTLE = Rule("469", VerdictKind.THROTTLED, "throttled", lambda facts: facts.status == 469)
BUSY = Rule("469", VerdictKind.IN_DOUBT, "in doubt", lambda facts: facts.status == 469, is_busy=True)


def told_by_a_create() -> tuple[list[int], list[Throttled]]:
    """Which pairs are to be sent again after the reply to a create, and what was told of throttles."""
    stage = Stage(SETTINGS)
    stage.give(1)
    stage.lane_of(1).answer(MADE_UP)
    return stage.ready(), [event for event in stage.events if isinstance(event, Throttled)]


async def told_by_a_sign_in() -> tuple[bool, list[float]]:
    """Whether a sign-in is put off, and its pauses."""
    endpoint = Endpoint(*[MADE_UP] * 9)
    with pytest.raises(BulkwriterError) as raised:
        await endpoint.sign_in()(is_first=True)
    return isinstance(raised.value, TryLater), endpoint.pauses


def test_without_a_row_the_made_up_status_is_no_throttle(tmp_path: Path) -> None:
    assert told_by_a_create() == ([], [])
    assert not judge_call(MADE_UP, 0.0).is_slow_down
    assert not heard_as_throttle(tmp_path, MADE_UP)
    assert not any(failure.is_slow_down for failure in as_delete(MADE_UP)[2])
    assert asyncio.run(told_by_a_sign_in()) == (False, [])


def test_a_row_more_makes_a_status_a_throttle_of_every_call(tmp_path: Path) -> None:
    with with_rule(THROTTLE):
        (ready, told) = told_by_a_create()
        assert (ready, [event.retry_after_s for event in told]) == ([1], [7.0])
        assert as_list_call(MADE_UP) == "again"
        assert judge_call(MADE_UP, 0.0).is_slow_down  # as_list_call holds the list against it
        fate, error, failures = as_delete(*[MADE_UP] * 20, Reply(404))
        assert (fate, error, len(failures)) == (Fate.GONE, None, 20)  # 20 tries, none of them lost
        assert all(failure.is_slow_down and failure.retry_after_s == 7.0 for failure in failures)
        assert heard_as_throttle(tmp_path, MADE_UP)
        is_put_off, pauses = asyncio.run(told_by_a_sign_in())
        assert is_put_off
        assert pauses
        assert min(pauses) >= 7.0


def test_a_row_more_makes_a_status_busy_for_every_call() -> None:
    with with_rule(BUSY):
        assert verdict_of(MADE_UP).is_busy
        assert judge_call(MADE_UP, 0.0).is_later
        assert not judge_call(MADE_UP, 0.0).is_slow_down
        assert asyncio.run(told_by_a_sign_in())[0]


def test_only_the_table_names_the_statuses_of_throttles() -> None:
    """429, 409 and 503 are numbers in `core.classify` alone; the stub and the example are servers, and make them."""
    package = Path(table.__file__).parents[1]
    naming = set()
    for path in package.rglob("*.py"):
        numbers = {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)}
        if not numbers.isdisjoint({409, 429, 503}) and path.parent.name not in ("stub", "examples"):
            naming.add(path.relative_to(package).as_posix())
    assert naming == {"core/classify.py", "cli/demo.py"}  # the demo sets up the stub
