"""What ends or bends a run from outside: tokens, sign-in, observers, settings, servers that refuse or go away."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bulkwriter import (
    BulkWriter,
    BulkwriterError,
    ConfigurationStop,
    NotWell,
    Outcome,
    Settings,
    TryLater,
    UsageError,
    events,
)
from bulkwriter.stub.thread import StubThread
from tests.conftest import CANARY
from tests.support.cli_process import stub
from tests.support.library import on_loop, settings_for, some_pairs, truth, wholly

PAIRS = some_pairs(100)


def test_a_function_gives_the_token_and_another_when_that_is_refused(tmp_path: Path) -> None:
    calls = 0

    async def token() -> str:
        nonlocal calls
        calls += 1
        return CANARY if calls > 1 else "an-old-token"

    with stub() as server:
        summary = on_loop(lambda: wholly(PAIRS, settings_for(server, tmp_path / "j", token=token)), server=server)
        assert (summary.counts.created, calls) == (100, 2)
        assert server.truth()["statuses"]["401"] <= 2  # the list's, and the first create's


@pytest.mark.parametrize("existing", ["check", "skip"])
def test_a_function_that_raises_or_gives_what_is_refused_stops_the_run(tmp_path: Path, existing: str) -> None:
    async def raises() -> str:
        raise ValueError(CANARY)

    async def bad() -> str:
        return "bad"

    with stub() as server:
        for token in (raises, bad):
            settings = settings_for(server, tmp_path / "j", token=token, existing=existing)
            with pytest.raises(ConfigurationStop) as raised:
                on_loop(lambda s=settings: wholly(PAIRS, s), server=server)  # type: ignore[misc]
            assert CANARY not in str(raised.value)
        assert sum(server.truth()["statuses"].values()) <= 4


@pytest.mark.parametrize("token", ["", "two words", "a\r\nHost: b", "x\n"])
def test_what_can_be_no_token_is_never_shown(tmp_path: Path, token: str) -> None:
    with stub() as server:
        with pytest.raises(UsageError) as raised:
            on_loop(lambda: wholly(PAIRS, settings_for(server, tmp_path / "j", token=token)), server=server)
        assert not token or token not in str(raised.value)
        assert server.truth()["requests"] == {}


@pytest.mark.slow
def test_tokens_that_expire_during_the_run_are_renewed(tmp_path: Path) -> None:
    login = {"token": None, "username": "admin@example.com", "password": "stub-password"}
    pairs = some_pairs(2_000)
    with stub(token_life_s=0.3, latency_s=0.002) as server:
        summary = on_loop(
            lambda: wholly(pairs, settings_for(server, tmp_path / "j", in_flight=4, **login)), server=server
        )
        assert (summary.exit_code, truth(server)) == (0, (2_000, 0))
        assert server.truth()["token_calls"] >= 2


def test_a_wrong_password_stops_before_anything_is_sent(tmp_path: Path) -> None:
    login = {"token": None, "username": "admin@example.com", "password": "wrong"}
    with stub() as server:
        with pytest.raises(ConfigurationStop, match="password"):
            on_loop(lambda: wholly(PAIRS, settings_for(server, tmp_path / "j", **login)), server=server)
        assert server.truth()["operations"] == {"token": 1}


def test_a_single_write_without_a_way_to_sign_in_says_so(tmp_path: Path) -> None:
    async def main() -> None:
        async with BulkWriter(Settings(base_url=server.base_url, journal=tmp_path / "j")) as writer:
            with pytest.raises(UsageError, match="no token"):
                await writer.write((1, 1))

    with stub() as server, pytest.raises(UsageError):
        on_loop(main, server=server)


async def a_line() -> str:
    return "x\n"


async def fails() -> str:
    await asyncio.sleep(0)
    raise ValueError(CANARY)


@pytest.mark.parametrize("existing", ["check", "skip"])
@pytest.mark.parametrize(
    ("login", "kind", "words", "token_calls"),
    [
        ({"token": a_line}, UsageError, "the token has a line end", 0),
        ({"token": fails}, ConfigurationStop, "no token: ValueError", 0),
        ({"token": None, "username": "ann", "password": "wrong"}, ConfigurationStop, "the sign-in was refused", 1),
    ],
)
def test_writes_at_once_are_all_told_why_there_is_no_token(
    tmp_path: Path, existing: str, login: dict[str, Any], kind: type[BulkwriterError], words: str, token_calls: int
) -> None:
    """One exchange for all: a wrong password given 50 times would lock the account."""
    told: list[BaseException | Outcome] = []

    async def main() -> None:
        settings = settings_for(server, tmp_path / "j", existing=existing, patience_s=0.3, **login)
        async with BulkWriter(settings) as writer:
            told.extend(await asyncio.gather(*map(writer.write, PAIRS[:50]), return_exceptions=True))
            assert not writer.is_well()

    with stub() as server:
        on_loop(main, server=server)
        for error in told:
            assert isinstance(error, NotWell)
            assert isinstance(error.__cause__, kind)
            assert words in error.message
            assert CANARY not in str(error)
        assert server.truth()["operations"] == ({"token": token_calls} if token_calls else {})


THROTTLED = {"kind": "bucket", "count": 100, "window_s": 1, "burst": 20, "retry_after": "none"}


@pytest.mark.slow
def test_an_observer_is_told(tmp_path: Path) -> None:
    told: list[events.Event] = []

    async def main() -> None:
        settings = settings_for(server, tmp_path / "j", in_flight=16)
        async with BulkWriter(settings, observers=[told.append]) as writer:
            await writer.write_all(PAIRS)
            writer.drain("a test")

    with stub(limits=[THROTTLED], faults={"rst_after": 0.1}, seed=1) as server:
        on_loop(main, server=server)
    kinds = {type(event) for event in told}
    assert {events.Throttled, events.DoubtsSettled, events.Stopping} <= kinds


@pytest.mark.slow
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_an_observer_that_raises_is_dropped_and_the_run_goes_on(tmp_path: Path, loop: str) -> None:
    calls: list[events.Event] = []
    told: list[events.Event] = []

    def observer(event: events.Event) -> None:
        calls.append(event)
        raise ValueError("mine")

    async def main() -> None:
        settings = settings_for(server, tmp_path / "j", in_flight=16)
        async with BulkWriter(settings, observers=[observer, told.append]) as writer:
            assert (await writer.write_all(PAIRS)).counts.created == len(PAIRS)

    with stub(limits=[THROTTLED]) as server:
        on_loop(main, loop=loop, server=server)
        assert truth(server) == (100, 0)
    assert len(calls) == 1
    assert [event for event in told if isinstance(event, events.ObserverDropped)] == [
        events.ObserverDropped(observer.__qualname__, "ValueError('mine')")
    ]


@pytest.mark.parametrize(
    "chosen",
    [
        {"in_flight": 0},
        {"in_flight": 2.5},
        {"rate": -1},
        {"timeout_s": "90"},
        {"base_url": "http://example.com"},
        {"base_url": "spaces.nexudus.com"},
        {"existing": "Check"},
        {"on_quota": "pause"},
        {"quota": "write:60/min"},
        {"journal": 5},
        {"token": ""},
        {"token": " \n"},
        {"username": ""},
    ],
)
def test_a_wrong_setting_is_named_where_it_is_made(chosen: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as raised:
        Settings(**chosen)
    name = next(iter(chosen)).replace("base_url", "http")
    assert name in str(raised.value)


def test_files_may_be_named_by_strings() -> None:
    assert Settings(journal="run.journal").journal == Path("run.journal")


@pytest.mark.slow
def test_a_server_that_is_gone_for_a_while(tmp_path: Path) -> None:
    """Stopped in the middle and started again at the same place: nothing was lost, since it kept its records."""
    told: list[events.Event] = []
    pairs = some_pairs(1_500)

    async def main() -> None:
        settings = settings_for(url, tmp_path / "j", in_flight=8)
        async with BulkWriter(settings, observers=[told.append]) as writer:
            writing = asyncio.create_task(writer.write_all(pairs))
            while writer.summary().counts.created < 100:  # in the middle, however slow this machine is
                await asyncio.sleep(0.002)
            await asyncio.to_thread(gone)
            summary = await writing
        assert (summary.counts.created + summary.counts.existing, summary.exit_code) == (1_500, 0)

    servers = [stub(latency_s=0.003).start()]
    url = servers[0].base_url

    def gone() -> None:
        servers[0].stop()
        there = [[lesson, member] for _, lesson, member in servers[0].records()]  # what it took up to its very end
        again = StubThread({"tokens": [CANARY], "existing": there}, port=int(url.rpartition(":")[2]))
        servers.append(again.start())

    try:
        on_loop(main)
        assert truth(servers[1]) == (1_500, 0)
    finally:
        servers[-1].stop()
    assert any(isinstance(event, events.ConnectionTrouble) for event in told)


@pytest.mark.slow
def test_a_server_that_stays_away_ends_the_run_for_later(tmp_path: Path) -> None:
    server = stub(latency_s=0.005).start()

    async def main() -> None:
        settings = settings_for(server, tmp_path / "j", give_up_after_s=0.5)
        async with BulkWriter(settings) as writer:
            writing = asyncio.create_task(writer.write_all(some_pairs(3_000)))
            await asyncio.sleep(0.1)
            await asyncio.to_thread(server.stop)
            with pytest.raises(TryLater, match=r"no good reply|cannot be listed"):
                await writing

    on_loop(main)
