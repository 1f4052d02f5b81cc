"""A writer whose journal is a part in a database: the same promise, on whichever machine it goes on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bulkwriter import BulkWriter, Exit, JournalError, Outcome, State
from bulkwriter.errors import UsageError
from bulkwriter.events import Event, Unwell, Well
from bulkwriter.postgres.part import PartSettings, PartStore, parts_folder
from bulkwriter.settings import Settings
from bulkwriter.stub.thread import StubThread
from tests.postgres_server import PASSWORD, Database
from tests.support.cli_process import stub
from tests.support.journal_child import COLUMNS, URL
from tests.support.library import on_loop, settings_for, some_pairs, soon, truth

QUICK = PartSettings(1.0, 1.0, 0.2, 0.05, 30.0, False)


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Go to another machine, as far as files tell."""

    def to(name: str) -> None:
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / name))

    to("one")
    return to


def url_of(postgres: Database, part: str = "p1") -> str:
    return str(postgres.address.with_job("job", part))


def settings_of(server: StubThread, postgres: Database, part: str = "p1", **chosen: Any) -> Settings:
    how: dict[str, Any] = {"lease_s": 1.0, "timeout_s": 2.0, "in_flight": 8, **chosen}
    return settings_for(server, url_of(postgres, part), **how)  # type: ignore[arg-type]


def local_files() -> list[str]:
    return sorted(path.name for path in parts_folder().glob("*.journal"))


def run(settings: Settings, use: Callable[[BulkWriter], Awaitable[Any]], told: list[Event] | None = None) -> Any:
    async def main() -> Any:
        async with BulkWriter(settings, observers=[told.append] if told is not None else []) as writer:
            return await use(writer)

    return on_loop(main)


def test_a_run_goes_on_on_another_machine_and_leaves_no_file_behind(
    postgres: Database, machine: Callable[[str], None]
) -> None:
    with stub() as server:
        settings = settings_of(server, postgres)
        assert run(settings, lambda writer: writer.write_all(some_pairs(30))).counts.created == 30
        assert local_files() == []
        machine("two")
        summary = run(settings, lambda writer: writer.write_all(some_pairs(50)))
        assert (summary.counts.created, summary.journal) == (50, url_of(postgres))
        assert truth(server) == (50, 0)
        ((token, holder, counts),) = postgres.sql("SELECT token, holder, counts FROM bulkwriter.parts")
        assert (token, holder, counts["created"]) == (2, "", 50)


def test_single_pairs_of_a_service_are_known_on_another_machine(
    postgres: Database, machine: Callable[[str], None]
) -> None:
    async def three(writer: BulkWriter) -> list[Outcome]:
        return await writer.write_many([(1, 1), (1, 2), (2, 1)])

    with stub() as server:
        first = run(settings_of(server, postgres), three)
        machine("two")
        again = run(settings_of(server, postgres), three)
        assert [(one.state, one.record_id) for one in again] == [(State.CREATED, one.record_id) for one in first]
        assert truth(server) == (3, 0)


def test_a_part_that_is_held_is_refused_with_5_and_its_holder_goes_on(postgres: Database) -> None:
    with stub() as server:
        settings = settings_of(server, postgres)

        async def other_comes(writer: BulkWriter) -> str:
            with pytest.raises(JournalError, match=r"job/p1 is held by .+ pid") as caught:
                await BulkWriter(settings).start()
            assert caught.value.exit_code is Exit.JOURNAL
            await writer.write_all(some_pairs(5))
            return caught.value.code

        assert run(settings, other_comes) == "held"
        assert truth(server) == (5, 0)


def test_a_part_belongs_to_one_server_one_account_and_one_kind_of_records(postgres: Database) -> None:
    with stub() as server:
        run(settings_of(server, postgres), lambda writer: writer.write_all(some_pairs(2)))
        for chosen in ({"base_url": "https://other.test"}, {"account": "another"}):
            other = Settings(**{"base_url": server.base_url, "token": "t", "journal": url_of(postgres), **chosen})  # type: ignore[arg-type]
            with pytest.raises(JournalError, match="the job job is of"):
                run(other, lambda writer: writer.write_all([]))
        assert postgres.sql("SELECT holder FROM bulkwriter.parts") == [("",)]


def test_a_job_that_was_loaded_takes_no_other_parts(postgres: Database) -> None:
    postgres.sql(
        "INSERT INTO bulkwriter.jobs(job, base_url, entity, parts) VALUES ('job', %s, 'completed lessons', 4)", URL
    )
    part = PartStore(postgres.address.with_job("job", "p1"), QUICK, note=print)
    with pytest.raises(JournalError, match="there is no part job/p1"):
        part.open(None, base_url=URL, account=None, columns=COLUMNS, entity="completed lessons")
    part.close()
    with pytest.raises(UsageError, match="names no part"):
        PartStore(postgres.address.with_job("job"), QUICK, note=print)


def test_while_the_database_is_away_nothing_is_sent_and_then_it_goes_on_by_itself(postgres: Database) -> None:
    told: list[Event] = []
    with stub() as server:

        async def through_an_outage(writer: BulkWriter) -> None:
            await writer.write((1, 1))
            await asyncio.to_thread(postgres.server.stop)
            waiting = asyncio.ensure_future(writer.write((1, 2)))
            while writer.is_well():
                await asyncio.sleep(0.05)
            assert writer.error
            assert "lease of this part is over" in writer.error.message
            assert truth(server) == (1, 0)
            await asyncio.to_thread(postgres.server.start)
            assert (await waiting).state is State.CREATED
            while not any(isinstance(event, Well) for event in told):
                await asyncio.sleep(0.05)

        run(settings_of(server, postgres), through_an_outage, told)
        assert truth(server) == (2, 0)
    assert [type(event) for event in told if isinstance(event, Unwell | Well)] == [Unwell, Well]


def test_no_password_is_shown(postgres: Database, capfd: pytest.CaptureFixture[str]) -> None:
    url = postgres.tcp.replace("bulkwriter@", f"bulkwriter:{PASSWORD}@") + "/job/p1"
    told: list[Event] = []
    with stub() as server:
        settings = settings_for(server, url, lease_s=1.0)  # type: ignore[arg-type]
        summary = run(settings, lambda writer: writer.write_all(some_pairs(3)), told)
        wrong = settings_for(server, url.replace(PASSWORD, "wrong-canary"), lease_s=1.0)  # type: ignore[arg-type]
        with pytest.raises(JournalError, match="authentication failed") as caught:
            run(wrong, lambda writer: writer.write_all([]), told)
    shown = f"{settings!r} {summary!r} {told!r} {caught.value!s} {wrong!r} {capfd.readouterr()}"
    kept = str(postgres.sql("SELECT * FROM bulkwriter.parts, bulkwriter.jobs"))
    assert PASSWORD not in shown + kept
    assert "wrong-canary" not in shown


def test_what_was_committed_here_and_not_shipped_is_not_there_for_the_next(postgres: Database) -> None:
    """A crash between the local commit and the log: nobody was told of it, so nothing was sent of it."""
    parts = [PartStore(postgres.address.with_job("job", "p1"), QUICK, note=print) for _ in range(2)]
    how: dict[str, Any] = {"base_url": URL, "account": None, "columns": COLUMNS, "entity": "completed lessons"}
    journal = parts[0].open(None, **how)
    journal.append([(0, 1, 1, 2, State.INTENT, None)])
    postgres.sql("ALTER TABLE bulkwriter.groups RENAME TO away")
    with pytest.raises(JournalError, match="tables are not there"):
        journal.append([(1, 1, 2, 3, State.INTENT, None)])
    postgres.sql("ALTER TABLE bulkwriter.away RENAME TO groups")
    assert journal.rows == 2, "it is in the local file"
    again = parts[1].open(None, **how)
    assert (again.rows, again.counts()) == (1, {State.INTENT: 1})
    assert 0 < parts[1].log.lease.in_doubt_for_s <= 1.0, "a request deadline from the end of the lease that was seen"
    for opened, part in ((journal, parts[0]), (again, parts[1])):
        opened.close()
        part.close()


# processes


class Child:
    def __init__(self, server: StubThread, postgres: Database, home: Path) -> None:
        command = [sys.executable, "-m", "tests.support.part_child", server.base_url, url_of(postgres), "250"]
        env = {**os.environ, "XDG_STATE_HOME": str(home)}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, env=env, text=True)

    def said(self) -> str:
        out, _ = self.process.communicate(timeout=60)
        return out.strip().splitlines()[-1]


@pytest.mark.slow
def test_a_writer_that_sleeps_or_dies_is_taken_over_and_doubles_nothing(postgres: Database, tmp_path: Path) -> None:
    """Two at a time: killed; stopped for longer than its lease and woken up.

    That a writer without a fence doubles is shown by `scripts/machines dense --unfenced`: it is a matter of chance.
    """
    acts = {"killed": signal.SIGKILL, "stopped": signal.SIGSTOP}
    databases = {act: postgres.server.database() for act in acts}
    with stub(latency_s=0.03) as one, stub(latency_s=0.03) as two:
        servers = dict(zip(acts, (one, two), strict=True))
        first = {act: Child(servers[act], databases[act], tmp_path / act) for act in acts}
        for act, number in acts.items():
            soon(lambda act=act: truth(servers[act])[0] >= 60)  # type: ignore[misc]
            first[act].process.send_signal(number)
        second = {act: Child(servers[act], databases[act], tmp_path / act) for act in acts}
        for act in acts:
            assert json.loads(second[act].said())["created"] == 250, act
            assert truth(servers[act]) == (250, 0)
        first["stopped"].process.send_signal(signal.SIGCONT)
        assert first["stopped"].said() == "fence"
        assert first["killed"].process.wait(10) == -signal.SIGKILL
        first["killed"].process.communicate()
        assert truth(servers["stopped"]) == (250, 0)
