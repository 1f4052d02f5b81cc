"""A job from the command line against a real database and a real stub: loaded, worked on, read, undone, refused."""

from __future__ import annotations

import csv
import io
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from bulkwriter.stub.thread import StubThread
from tests.postgres_server import Database
from tests.support.cli_process import Here, finish, start, stub, wait_for

pytestmark = pytest.mark.slow

KNOWN = ["1-580"]
"""The server refuses the last members."""
COMMON = ("--doubt-wait=0.4", "--progress=none", "--lease=2", "--timeout=6")
COUNTS = ("pairs", "created", "existing", "rejected", "failed", "in_doubt", "pending", "invalid", "duplicates")
STATES = "created,existing,rejected,failed,invalid,duplicate,pending,in_doubt"


def job_in(database: Database, name: str = "backfill") -> str:
    return database.url.replace("?", f"/{name}?")


def rows(count: int) -> str:
    """Rows of which each tenth is repeated, and each fiftieth is no pair."""

    def row(i: int) -> str:
        return "x,y" if i % 50 == 7 else f"{i % 9 + 1},{i + 1}"

    lines = [row(i - 1 if i % 10 == 1 else i) for i in range(count)]
    return "\n".join(["CourseLessonId,CourseMemberId", *lines, ""])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.csv"
    path.write_text(rows(600), encoding="ascii")
    return path


def exported(here: Here, journal: str, states: str = STATES) -> list[dict[str, str]]:
    done = here("export", journal, "--state", states, "--output", "-")
    assert done.code == 0, done.err
    found = list(csv.DictReader(io.StringIO(done.out)))
    for row in found:
        row["record_id"] = str(bool(row["record_id"]))
        row["attempts"] = str(bool(int(row["attempts"])))
        if row["state"] == "created":
            row["status"] = ""  # none where a look found the record, after its worker was killed
    return found


def status(here: Here, job: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(here("status", job, "--json").out)
    return said


def on_server(server: StubThread) -> list[tuple[int, int]]:
    return sorted((a, b) for _, a, b in server.records())


def worker(job: str, server: StubThread, home: Path, *args: str) -> Any:
    home.mkdir()
    return start(
        "work", job, "--base-url", server.base_url, "--json", *COMMON, *args, env={"XDG_STATE_HOME": str(home)}
    )


def test_two_workers_one_killed_and_the_job_reads_like_a_local_run(
    here: Here, source: Path, postgres: Database, tmp_path: Path
) -> None:
    job = job_in(postgres)
    with stub(latency_s=0.02, known_members=KNOWN) as server:
        url = ("--base-url", server.base_url)
        done = here("run", str(source), "--journal", job, "--parts", "4", "--load-only", *url)
        assert done.code == 0, done.err
        assert f"bulkwriter work '{job}' --base-url {server.base_url}" in done.err
        assert server.truth()["requests"] == {}
        assert status(here, job)["pending"] == 528
        few = ("--in-flight=4", "--timeout=2")  # what a dead worker sent is looked up after its timeout
        killed, other = (worker(job, server, tmp_path / home, *few) for home in ("one", "two"))
        wait_for(lambda: server.truth()["records"] > 150)
        killed.send_signal(signal.SIGKILL)
        finish(killed)
        assert len(status(here, job)["parts"]) == 4
        done = finish(other)
        summary = done.json
        assert (done.code, summary["pairs"], summary["not_read"], summary["parts_done"]) == (1, 600, 0, 4)
        assert server.truth()["doubles"] == 0
        again = here("work", job, *url, "--json", *COMMON)
        assert (again.code, again.json["attempts"], again.json["created"]) == (1, 0, summary["created"])
        there, said = on_server(server), status(here, job)
        assert {name: said[name] for name in COUNTS} == {name: summary[name] for name in COUNTS}
        assert summary["created"] + summary["existing"] == len(there) == len(set(there))
        verified = json.loads(here("verify", job, *url, "--doubt-wait=0.4", "--json").out)
        assert (verified["missing"], verified["doubled"], verified["checked"]) == (0, 0, len(there))
        reported = json.loads(here("report", job, "--json").out)
        assert (reported["created"], reported["history"]["attempts"] >= len(there)) == (said["created"], True)
        assert "line 3" in here("explain", job, "--line", "3").out
        listed = exported(here, job)
    with stub(known_members=KNOWN) as server:
        assert here.run(source, server).code == 1
        alone = exported(here, f"{source}.journal")
        assert on_server(server) == there
    assert listed == alone


def test_run_loads_works_and_goes_on_and_undo_takes_it_back(here: Here, source: Path, postgres: Database) -> None:
    job = job_in(postgres)
    with stub() as server:
        there = ("--journal", job, *COMMON)
        few = here.run(source, server, *there, "--parts=2", "--limit=5")
        assert few.counts("created", "attempts") == (5, 5)
        assert "as --limit allows" in few.json["ended_reason"]
        done = here.run(source, server, *there, "--parts=2")
        assert done.code == 1, done.err
        assert (done.code, done.json["created"], done.json["journal"], done.json["parts"]) == (1, 528, job, 2)
        with source.open("a") as file:
            file.write("77,1\n")
        done = here.run(source, server, *there)
        assert done.counts("created", "pairs", "attempts") == (529, 601, 1)
        (one,) = json.loads(here("runs", postgres.url, "--json").out)["runs"]
        assert (one["state"], one["journal"], one["created"], one["left"]) == ("finished", job, 529, 0)
        assert "601 of 601 rows are settled, 0 left" in here("runs", job).out
        postgres.sql("UPDATE bulkwriter.parts SET timeline = -1")
        undo = ("undo", job, "--base-url", server.base_url, "--yes", "--doubt-wait=0.4", "--json")
        refused = here(*undo)
        assert (refused.code, "--after-loss" in refused.err, len(on_server(server))) == (5, True, 529)
        undone = here(*undo, "--after-loss")
        assert "records that the database has lost are not known here" in undone.err
        assert (undone.code, json.loads(undone.out)["deleted"], on_server(server)) == (0, 529, [])
        assert ("would write these pairs again" in undone.err, "--refresh" in undone.err) == (True, False)
        assert (status(here, job)["undone_deleted"], status(here, job)["pending"]) == (529, 529)
        assert here("work", job, "--base-url", server.base_url, "--json", *COMMON).counts("created") == (529,)
        assert server.truth()["doubles"] == 0


def test_what_a_job_refuses(here: Here, source: Path, postgres: Database, tmp_path: Path) -> None:
    job, url = job_in(postgres), ("--base-url", "http://127.0.0.1:9")
    assert here("run", str(source), "--journal", job, "--parts", "2", "--load-only", *url).code == 0
    other = tmp_path / "other.csv"
    other.write_text(rows(20).replace("1,1\n", "1,5\n"), encoding="ascii")
    refused = {
        ("work", job): (5, "belongs to http://127.0.0.1:9, not to https://spaces.nexudus.com"),
        ("work", job, *url, "--account=b"): (5, r"not to http://127.0.0.1:9 (account b)"),
        ("work", job_in(postgres, "unknown"), *url): (5, "there are backfill"),
        ("status", job_in(postgres, "unknown")): (5, "there are backfill"),
        ("status", job_in(postgres, "backfill/9")): (5, "there is no part at"),
        ("work", job_in(postgres, "backfill/1"), *url): (2, "names one part"),
        ("work", postgres.url, *url): (2, "names a database and no job in it"),
        ("runs", str(source)): (2, "is no database"),
        ("runs", job_in(postgres, "unknown")): (5, "there is no job at"),
        ("work", str(source), *url): (2, "is no job in a database"),
        ("work", job.replace("bulkwriter@", "bulkwriter:secret-word@"), *url): (2, "has a password in it"),
        ("run", str(source), "--journal", job, *url, "--parts=3"): (2, "has 2 parts, and 3 are asked for"),
        ("run", str(source), "--journal", job, *url, "--dry-run"): (2, "--dry-run does not go with a job"),
        ("run", str(source), "--journal", job_in(postgres, "b"), *url, "--parts=257"): (2, "between 1 and 256"),
        ("run", str(source), "--parts=3", *url): (2, "--parts needs a job in a database"),
        ("run", str(other), "--journal", job, *url): (6, "line 2: job backfill has 1,1 here, the source 1,5"),
        ("verify", job, *url, "--repair", "--yes"): (2, "--repair needs a journal that is a file"),
    }
    for command, (code, words) in refused.items():
        done = here(*command)
        assert (done.code, words in done.err) == (code, True), (command, done.err)
        assert "secret-word" not in done.err
    postgres.sql("UPDATE bulkwriter.parts SET timeline = timeline + 1")
    done = here("work", job, *url, "--json")
    assert (done.code, done.json["pending"], "may have lost" in done.err) == (5, 600, True), done.err
    assert f"'{job}' {' '.join(url)} --json --after-loss" in done.err
    assert "what the database lost is not counted" in done.err
    assert (bool(done.json["parts_as_of"]), done.json["ended_code"]) == (True, "lost")
    undo = ("undo", job, *url, "--yes", "--json", "--dry-run", "--after-loss")
    assert (here(*undo).code, here("undo", f"{source}.journal", *url, "--yes", "--after-loss").code) == (0, 2)
    postgres.sql("DELETE FROM bulkwriter.jobs")  # as in a copy from before the load
    loads = ("run", str(source), "--journal", job, *url, "--load-only", "--json")
    for command in (("work", job, *url, "--json"), loads):
        done = here(*command)
        assert (done.code, done.json["ended_code"], "this machine has loaded it" in done.err) == (5, "lost", True)
        assert f"{' '.join(command[-2:])} --after-loss" in done.err
    assert here(*loads, "--after-loss").code == 0
    done = here("work", job, *url, "--json")
    assert (done.code, done.json["ended_code"]) == (5, "lost")
    postgres.server.stop()
    done = here("work", job, *url, "--json", "--give-up-after=0.01")
    assert (done.code, done.json["attempts"]) == (75, 0)
    assert here("status", job).code == 75


def test_a_load_without_a_token_and_strict(here: Here, source: Path, postgres: Database) -> None:
    here.env("BULKWRITER_TOKEN", "")
    given = ("run", str(source), "--journal", job_in(postgres), "--load-only", "--json")
    done = here(*given, "--strict")
    assert (done.code, "line 9: " in done.err) == (6, True)
    done = here(*given)
    assert (done.code, done.json["rows_total"], done.json["parts"]) == (0, 600, 4)
