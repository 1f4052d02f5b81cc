"""Why pairs were not written: how a journal's rows, a summary, `status` and a line of progress tell it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bulkwriter.cli import progress, reason_lines
from bulkwriter.cli.main import main
from bulkwriter.model import Counts, Reason, Snapshot
from tests.support.cli_process import Done, Here, stub

MANY = Reason("Id: there is no member …", 2_388, "line 5 (11,42): Id: there is no member 42")
ONE = Reason("Id: is blocked", 3, "line 1007 (11,43): Id: is blocked")
MORE = tuple(Reason(word, 2, f"1,2: {word}") for word in ("a", "b", "c"))


def test_each_state_has_its_reasons_with_counts_and_an_example() -> None:
    assert reason_lines.lines({"invalid": (ONE,), "rejected": (MANY, ONE)}) == [
        "",
        "  why rejected",
        "    2,388  Id: there is no member …",
        "           such as line 5 (11,42): Id: there is no member 42",
        "        3  Id: is blocked",
        "           such as line 1007 (11,43)",
        "",
        "  why invalid",
        "    3  Id: is blocked",
        "       such as line 1007 (11,43)",
    ]
    assert reason_lines.lines({}) == []


def test_what_is_beyond_the_first_few_is_counted() -> None:
    told = reason_lines.lines({"failed": (MANY, ONE, *MORE)}, indent="")
    assert told[-1] == "  …and 4 more, for other reasons"
    assert "failed, 2,388: Id: there is no member …" in reason_lines.in_short(
        {"failed": (MANY, ONE), "invalid": (ONE,)}
    )


@pytest.mark.parametrize(("rejected", "is_so"), [(2_391, True), (2_392, False)])
def test_reasons_are_all_where_they_add_up(rejected: int, is_so: bool) -> None:
    assert reason_lines.have_all({"rejected": (MANY, ONE)}, Counts(rejected=rejected)) is is_so
    assert reason_lines.have_all({}, Counts(created=5))


def test_a_line_of_progress_tells_the_most_frequent_one() -> None:
    snapshot = Snapshot(
        counts=Counts(rejected=2_391, created=9), done=2_400, total=5_000, is_total_exact=True, in_flight=1,
        in_flight_limit=1, attempts=2_400, throttled=0, rate_per_s=5.0, elapsed_s=9.0, eta_s=None,
        reasons={"rejected": (MANY,), "invalid": (ONE,)},
    )  # fmt: skip
    told = "most often rejected, 2,388: Id: there is no member …"
    assert progress.plain_line(snapshot).endswith(told)
    assert progress.live_lines(snapshot, 100)[-1] == f"  {told}"
    assert max(map(len, progress.live_lines(snapshot, 30))) <= 30
    assert progress.json_facts(snapshot)["reasons"]["invalid"] == [
        {"reason": ONE.reason, "count": 3, "example": ONE.example}
    ]


# against a stub


def pairs_of(path: Path, count: int, *, every: int) -> Path:
    """Pairs of which each `every`th has a member above 10^6."""
    rows = (f"{1 + i % 7},{i + (10**6 if i % every == 0 else 1)}\n" for i in range(1, count + 1))
    path.write_text("CourseLessonId,CourseMemberId\n" + "".join(rows), encoding="ascii")
    return path


@pytest.mark.slow
def test_every_second_pair_refused_is_a_wrong_setting_and_each_start_looks_anew(here: Here, tmp_path: Path) -> None:
    source = pairs_of(tmp_path / "p.csv", 600, every=2)
    with stub(known_members=["1-100000"]) as server:
        first = here.run(source, server)
        assert first.code == 4
        assert "replies were the same rejection: " in first.err
        assert "--stop-rejected 1" in first.err
        sent = server.truth()["requests"]["POST"]
        assert 100 <= sent <= 200
        again = here.run(source, server)
        assert again.code == 4
        assert 200 <= server.truth()["requests"]["POST"] <= 400
        done = here.run(source, server, "--stop-rejected=1")
        assert (done.code, done.counts("created", "rejected")) == (1, (300, 300))
    (reason,) = done.json["reasons"]["rejected"]
    assert (reason["count"], done.json["reasons"]["invalid"]) == (300, [])
    assert reason["example"].startswith("line 3 (3,1000002): ")
    assert "why rejected\n    300  " in done.err


@pytest.mark.slow
def test_a_third_refused_goes_on_and_status_tells_the_same_reasons(here: Here, tmp_path: Path) -> None:
    source = pairs_of(tmp_path / "p.csv", 600, every=3)
    source.write_text(source.read_text(encoding="ascii") + "".join(f"{i}.0,7\n" for i in range(20)), encoding="ascii")
    with stub(known_members=["1-100000"]) as server:
        done = here.run(source, server)
    assert (done.code, done.counts("created", "rejected", "invalid")) == (1, (400, 200, 20))
    assert [reason["count"] for reason in done.json["reasons"]["invalid"]] == [20]
    assert "'0.0'" in done.json["reasons"]["invalid"][0]["example"]
    status = here("status", f"{source}.journal", "--json")
    assert json.loads(status.out)["reasons"] == done.json["reasons"]
    assert "why rejected\n  200  " in here("status", f"{source}.journal").out


@pytest.mark.slow
def test_what_a_server_says_reaches_no_terminal_raw(here: Here, tmp_path: Path) -> None:
    source = tmp_path / "p.csv"
    source.write_text("CourseLessonId,CourseMemberId\n\x1b[31m,7\n1,2\n", encoding="ascii")
    with stub() as server:
        done = here.run(source, server)
    assert "why invalid" in done.err
    assert "\x1b" not in done.err
    assert "\\x1b[31m" in json.loads(done.out)["reasons"]["invalid"][0]["example"]
    assert main(["status", f"{source}.journal"]) == 0


# looks at a source: the same for `plan` and `run --dry-run`

LOOKS = [("plan", "--existing=skip"), ("run", "--dry-run")]


def look(here: Here, how: tuple[str, str], source: Path, *args: str) -> Done:
    return here(how[0], str(source), how[1], "--base-url=https://spaces.nexudus.com", *args)


@pytest.mark.parametrize("how", LOOKS)
@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--quota=bogus",), "'bogus' is not a quota"),
        (("--quota=write:60/fortnight",), "is not ms, s, min, hour or day"),
        (("--quota=none", "--quota=nexudus"), "quota none goes with no other"),
        (("--quota-share=7",), "quota_share = 7"),
        (("--ca-file=pairs.csv",), "no certificate in it"),
        (("--proxy=ftp://x",), "the proxy is not like"),
        (("--token-file=missing",), "the token cannot be read from missing"),
        (("--rate=0",), "rate = 0"),
    ],
)
def test_a_setting_that_a_start_refuses_is_refused_by_a_look(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: tuple[str, str], args: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    source = pairs_of(Path("pairs.csv"), 5, every=9)
    done = look(here, how, source, *args)
    assert (done.code, said in done.err, "start it" in done.err) == (2, True, False), done.err
    start = here("run", str(source), "--base-url=https://spaces.nexudus.com", *args)
    assert (start.code, said in start.err) == (2, True), start.err
    assert not Path("pairs.csv.journal").exists()


def test_a_dry_run_that_would_send_nothing_gives_no_command_to_start(here: Here, tmp_path: Path) -> None:
    source = tmp_path / "pairs.csv"
    source.write_text("CourseLessonId,CourseMemberId\n1.0,7\n", encoding="ascii")
    err = look(here, LOOKS[1], source).err
    assert not [word for word in ("start it", "next ", "export") if word in err], "nothing goes on, no journal is there"
    source.write_text("CourseLessonId,CourseMemberId\n1.0,7\n1,7\n", encoding="ascii")
    assert "start it; it skips the invalid rows" in look(here, LOOKS[1], source).err


@pytest.mark.parametrize("how", LOOKS)
def test_bad_rows_are_told_with_their_reasons_and_how_many_more(
    here: Here, tmp_path: Path, how: tuple[str, str]
) -> None:
    source = tmp_path / "pairs.csv"
    rows = [*(f"{i}.0,7\n" for i in range(1_000, 21_000)), *(f"1,{i}\n" for i in range(1, 4)), "anna@example.org,7\n"]
    source.write_text("CourseLessonId,CourseMemberId\n" + "".join(rows), encoding="ascii")
    done = look(here, how, source)
    told = done.out + done.err
    assert done.code == 1
    assert f"{source}, line 2: " in done.err
    assert done.err.count(f"{source}, line ") == 5
    assert "…and 19,996 more" in done.err
    assert "why invalid\n    20,000  " in told
    assert "such as line 2: CourseLessonId '1000.0' " in told
    assert "anna@example.org" not in told
    assert "an e-mail" in told
    (first, second) = json.loads(look(here, how, source, "--json").out)["reasons"]["invalid"]
    assert (first["count"], second["count"]) == (20_000, 1)
