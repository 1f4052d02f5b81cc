"""`bulkwriter run` against a stub, called in this process: what it does, what it says, and how it ends."""

from __future__ import annotations

import contextlib
import gzip
import json
import sqlite3
from pathlib import Path

import pytest

from bulkwriter.model import State
from bulkwriter.quota.ledger import ledger_path
from bulkwriter.run.existing_records import OUTWAITING
from bulkwriter.run.registry import Entry, Registry
from bulkwriter.store.lock import FileLock
from tests.conftest import CANARY
from tests.support.cli_process import Done, Here, stub, url_of, write_pairs

pytestmark = pytest.mark.slow


def test_every_pair_once_and_the_second_start_writes_nothing(here: Here, tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 500)
    with stub() as server:
        first = here.run(source, server)
        assert (first.code, first.counts("pairs", "created")) == (0, (500, 500))
        assert first.json["journal"] == f"{source}.journal"
        assert first.json["pairs_per_s"] > 0
        again = here.run(source, server)
        truth = server.truth()
    assert (again.code, again.counts("pairs", "created", "attempts")) == (0, (500, 500, 0))
    assert (truth["records"], truth["doubles"], truth["creates_applied"]) == (500, 0, 500)
    assert "Every pair was written or found, by the journal" in first.err
    assert f"bulkwriter verify {source}.journal" in first.err


def test_a_gateway_that_says_503_to_what_comes_too_fast_is_sent_less(here: Here, tmp_path: Path) -> None:
    """nginx refuses so, unless it is told otherwise.  What it refused is in doubt, and so should be little."""
    source = write_pairs(tmp_path / "pairs.csv", 1_000)
    limit = {"kind": "bucket", "count": 200, "burst": 20, "status": 503, "retry_after": "none"}
    with stub(limits=[limit], latency_s=0.02) as server:
        done = here.run(source, server, "--doubt-wait=1")
        truth = server.truth()
    assert (done.code, done.counts("created", "failed")) == (0, (1_000, 0))
    assert (truth["records"], truth["doubles"]) == (1_000, 0)
    assert done.json["attempts"] <= 1_400  # 1,017 to 1,156 in 16 runs, where a first trial told nothing
    assert "busy: the run sends slower from here on" in done.err
    assert_told_alike(done, throttles=0)


def assert_told_alike(done: Done, *, throttles: int) -> None:
    """The summary, `--json` and the events agree on whether the server throttled."""
    assert done.json["throttled"] == throttles
    assert f" {throttles:,} throttled" in done.err
    assert ("throttled: " in done.err) == bool(throttles)


@pytest.mark.parametrize("status", [429, 503])
def test_what_a_server_refuses_and_what_it_leaves_in_doubt_have_words_of_their_own(
    here: Here, tmp_path: Path, status: int
) -> None:
    """Both state a wait.  The one surely took nothing; the other may have, so that is no throttle, wherever told."""
    source = write_pairs(tmp_path / "pairs.csv", 30)
    limit = {"kind": "window", "count": 20, "window_s": 1, "status": status}
    with stub(limits=[limit]) as server:
        done = here.run(source, server, "--doubt-wait=0.2", "-v")
        refused = server.truth()["statuses"][str(status)]
    assert (done.code, done.counts("created")) == (0, (30,))
    assert_told_alike(done, throttles=refused if status == 429 else 0)
    assert ("busy: the server asks for a pause" in done.err) == (status == 503)
    assert "throttles" not in done.err


def test_rejected_pairs_are_exported_and_can_be_tried_again(here: Here, tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 60)
    source.write_text(source.read_text(encoding="ascii") + "1,1\nno,pair\n", encoding="ascii")
    with stub(known_lessons=5) as server:
        done = here.run(source, server)
        assert (done.code, done.counts("created", "rejected", "invalid", "duplicates")) == (1, (30, 30, 1, 1))
        output = tmp_path / "bad.csv"
        assert here("export", f"{source}.journal", "--state", "rejected,invalid", "--output", str(output)).code == 0
        assert output.read_text(encoding="utf-8").count("\n") == 32
        server.set_scenario(tokens=[CANARY])
        assert here.run(source, server).counts("rejected", "attempts") == (30, 0)
        assert here.run(source, server, "--retry=rejected").counts("created", "rejected") == (60, 0)
        assert server.truth()["doubles"] == 0
    assert "bulkwriter export" in done.err


def test_the_same_rejection_again_and_again_is_a_wrong_setting(here: Here, tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 100)
    with stub(known_members=[10**9]) as server:
        done = here.run(source, server, "--max-same-rejections=7")
        posts = server.truth()["requests"]["POST"]
    assert done.code == 4
    assert 7 <= posts <= 14
    assert "bulkwriter run" in done.err


def test_a_spreadsheets_file_with_a_title_above_its_header(here: Here, tmp_path: Path) -> None:
    source = tmp_path / "pairs.csv"
    text = 'Export;;\n\nPrénom;Course Lesson Id;course_member_id\nZoë;1;2\nRené;1;3;\n;;\nAnn;"1,234";4\n'
    source.write_bytes(text.encode("cp1252"))
    with stub() as server:
        done = here.run(source, server)
        assert done.code == 6
        assert "line 3 names the columns: give --header-line 3" in done.err
        done = here.run(source, server, "--header-line=3")
        assert (done.code, done.counts("pairs", "created", "invalid")) == (1, (3, 2, 1))
        assert "CourseLessonId '1,234' has thousands separators: write the digits alone" in done.err
        assert here.run(source, server, "--header-line=3").counts("pairs", "attempts") == (3, 0)
        plan = here("plan", str(source), "--header-line=3", "--base-url", server.base_url)
        assert "0 pairs would be created" in plan.out


def test_a_bad_token_stops_after_a_handful_of_requests(here: Here, tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 100)
    with stub(tokens=["another-token"]) as server:
        done = here.run(source, server)
        assert sum(server.truth()["requests"].values()) <= 5
    assert (done.code, done.json["created"]) == (4, 0)


def test_user_name_and_password_sign_in(here: Here, tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 20)
    (tmp_path / "password").write_text("stub-password\n", encoding="ascii")
    who = ("--username=admin@example.com", f"--password-file={tmp_path / 'password'}")
    with stub() as server:
        here.env("BULKWRITER_TOKEN", "")
        assert here.run(source, server, *who).code == 0
        (tmp_path / "password").write_text("wrong\n", encoding="ascii")
        done = here.run(source, server, *who, "--journal", str(tmp_path / "j2"))
    assert done.code == 4


def test_a_server_that_is_gone_is_resumed_later(here: Here, tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 20)
    with stub() as server:
        url = server.base_url
    done = here.run(source, url, "--give-up-after=0.5")
    assert (done.code, done.counts("created", "in_doubt")) == (75, (0, 0))
    assert f"bulkwriter run {source} --base-url {url}" in done.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "pairs.csv"),
        ("", "column"),
        ("LessonId,CourseMemberId\n1,1\n", "LessonId"),
        ("CourseLessonId,CourseMemberId\n1,9\n", "line 2"),
    ],
    ids=["missing", "empty", "without its column", "changed"],
)
def test_a_source_that_cannot_be(here: Here, tmp_path: Path, text: str | None, said: str) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 3)
    with stub() as server:
        assert here.run(source, server).code == 0
        source.unlink()
        if text is not None:
            source.write_text(text, encoding="ascii")
        done = here.run(source, server)
        assert server.truth()["records"] == 3
    assert done.code == 6
    assert (done.json["exit_code"], done.json["pairs"], done.json["created"], done.json["attempts"]) == (6, 3, 3, 0)
    assert said in done.err
    assert "--existing skip" not in done.err


def test_a_start_beside_another_is_refused_and_counts_what_that_has_done(here: Here, tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 3)
    with stub() as server:
        assert here.run(source, server).code == 0
        journal = tmp_path / "pairs.csv.journal"
        with contextlib.closing(sqlite3.connect(journal)) as db, db:
            db.execute(f"UPDATE pair SET state = {int(State.INTENT)} WHERE seq = 2")
        lock = FileLock.acquire(journal)
        try:
            done = here.run(source, server)
            plan = here("plan", str(source), "--base-url", server.base_url, "--existing=skip")
        finally:
            lock.release()
    assert (done.code, done.counts("pairs", "created", "in_doubt", "attempts")) == (5, (3, 2, 1, 0))
    assert "is held by pid" in done.err
    for said in (done.err, plan.out):  # whoever holds the journal is sending it
        assert "about to be sent, on their way, or in doubt" in said
        assert "the next start" not in said


def test_appended_rows_go_on(here: Here, tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 30)
    with stub() as server:
        assert here.run(source, server).code == 0
        write_pairs(source, 50)
        assert here.run(source, server).counts("pairs", "created", "attempts") == (50, 50, 20)


def test_a_journal_of_another_host_is_refused(here: Here, tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 10)
    with stub() as one, stub() as other:
        assert here.run(source, one).code == 0
        done = here.run(source, other)
        assert other.truth()["records"] == 0
    assert (done.code, done.json["created"]) == (5, 0)
    assert one.base_url in done.err


def test_limit_sends_so_many_and_the_next_start_goes_on(here: Here, tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 50)
    with stub() as server:
        done = here.run(source, server, "--limit=20")
        assert server.truth()["records"] == 20
        assert "--limit" in done.err
        assert "Every pair" not in done.err
        assert "30 rows of the source are left" in done.err
        assert here.run(source, server).counts("created", "attempts") == (50, 30)


def test_strict_stops_at_a_bad_row(here: Here, tmp_path: Path) -> None:
    source = tmp_path / "pairs.csv"
    source.write_text("CourseLessonId,CourseMemberId\n1,1\n2,x\n3,1\n", encoding="ascii")
    with stub() as server:
        done = here.run(source, server, "--strict")
    assert done.code == 6
    assert "line 3" in done.err


def test_other_columns_and_a_compressed_source(here: Here, tmp_path: Path) -> None:
    source = tmp_path / "pairs.tsv.gz"
    source.write_bytes(gzip.compress(b"Member\tLesson\n7\t1\n8\t1\n"))
    with stub() as server:
        done = here.run(source, server, "--lesson-column=lesson", "--member-column=MEMBER")
        assert (done.code, [r[1:] for r in server.records()]) == (0, [(1, 7), (1, 8)])


def test_a_slip_is_usage_and_still_one_object(here: Here, tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 1)
    done = here.run(source, "http://example.com")
    assert (done.code, done.json["pairs"]) == (2, 0)
    assert "use https" in done.err
    here.env("BULKWRITER_TOKEN", "")
    assert here.run(source, "https://127.0.0.1:9").code == 2


def test_stderr_as_json_lines_is_json_throughout(here: Here, tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 200)
    throttles = {"kind": "status_before", "status": 429, "skip": 40, "limit": 3}
    with stub(faults=[throttles]) as server:
        done = here.run(source, server, "--log-format=json", "-v", "--account=x")
    assert done.code == 0
    events = [json.loads(line)["event"] for line in done.err.splitlines()]
    assert events[0] == "note" or events[0] == "start"
    assert "throttled" in events
    assert events[-1] == "summary"


def test_after_a_lost_journal_nothing_is_asked_before_what_was_on_its_way_is_seen(here: Here, tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 50)
    with stub() as server:
        assert here.run(source, server, "--limit=20").code == 0
        for end in ("", "-wal", "-shm"):
            Path(f"{source}.journal{end}").unlink(missing_ok=True)
        told = here.run(source, server, "--limit=1")
        assert "add --after-loss" in told.err
        Path(f"{source}.journal").unlink()
        done = here.run(source, server, "--after-loss", "--doubt-wait=0.8")
    assert (done.code, done.counts("created", "existing")) == (0, (29, 21))
    assert done.json["elapsed_s"] >= 0.8
    assert OUTWAITING in done.err
    assert "add --after-loss" not in done.err


def test_a_journal_that_is_gone_after_a_cut_off_start_needs_after_loss(here: Here, tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 3)
    journal = Path(f"{source}.journal")
    registry = Registry(ledger_path(None))
    with stub() as server:
        begun = Entry.begun(base_url=url_of(server), account=None, source=str(source), journal=journal)
        assert not registry.put(begun)  # as a start leaves it that was killed, and then all three files are removed
        for name in (journal.name, "other.journal"):
            refused = here.run(source, server, f"--journal={tmp_path / name}")
            assert "--after-loss" in refused.err
            assert (refused.code, journal.exists()) == ((5, False) if name == journal.name else (0, False))
        assert server.truth()["creates_applied"] == 3, "by the other journal alone, which says how it stands"
        assert here.run(source, server).code == 5, "the start that was refused has not made it forget"
        done = here.run(source, server, "--after-loss", "--doubt-wait=0.1")
        assert (done.code, done.counts("created", "existing")) == (0, (0, 3))
        journal.unlink()
        told = here.run(source, server)
    assert (told.code, "and it is gone" in told.err) == (0, True), "that start ended, so nothing is on its way"


def test_a_limit_that_is_used_up_is_the_end_also_where_every_row_was_read(here: Here, tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 45)
    with stub(existing={"lessons": 10, "members": 4}) as server:
        for made in (1, 2):
            done = here.run(source, server, "--limit=1")
            assert (done.code, done.counts("created", "existing", "pending")) == (0, (made, 40, 5 - made))
            assert "As many pairs were sent as --limit allows" in done.err
            assert (done.json["not_read"], "written or found" in done.err) == (0, False)
        assert here.run(source, server, "--limit=3").code == 0
        whole = here.run(source, server)
    assert (whole.code, whole.counts("created", "pending")) == (0, (5, 0))


def test_after_loss_is_of_no_use_where_nothing_is_looked_up(here: Here, tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 5)
    done = here.run(source, "http://127.0.0.1:1", "--after-loss", "--existing=skip")
    assert done.code == 2
    assert "--after-loss and --existing skip cannot go together" in done.err
