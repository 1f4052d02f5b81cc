"""`bulkwriter demo --people`: every step is shown, and the stub's own records decide whether it was good."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from bulkwriter.cli import demo_people
from tests.support.cli_process import finish, start

SCENARIO = {"seed": 3, **demo_people.SCENARIO}


@pytest.mark.slow
def test_the_whole_way_is_shown_and_touches_no_file_of_the_user(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    env = {"TMPDIR": str(tmp_path), "HOME": str(home), "XDG_CACHE_HOME": str(home), "XDG_STATE_HOME": str(home)}
    done = finish(start("demo", "--people", "--progress=none", env=env))
    assert done.code == 0, done.err
    steps = [line.split()[2] for line in done.err.splitlines() if line.startswith("$ bulkwriter ")]
    assert steps == ["resolve", "plan", "run", "verify", "export"]
    assert "0 missing, 0 that no row means; and 0 enrolments twice" in done.err
    assert "rejected" in done.out
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    assert not list(home.iterdir())


def test_a_record_too_few_or_too_many_is_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    community, rows = demo_people.make_table(tmp_path, SCENARIO)
    enrolments = community.enrolments
    lacking = [row for row in rows if row.why == "not enrolled"]
    for row in lacking:
        profiles = community.ids_of(row.cells[0])
        if len(profiles) == 1 and not enrolments.find(community.course_of(row.pair[0]), profiles[0]):
            enrolments.add(community.course_of(row.pair[0]), profiles[0], 0.0)

    def get(path: str) -> bytes:
        if path == "/stub/truth":
            return json.dumps({"people": {"enrolment_doubles": 0}}).encode()
        listed = [{"Id": i, "CourseId": a, "CoworkerId": b} for i, a, b in enrolments.rows()]
        return b"\n".join(json.dumps(one).encode() for one in listed)

    wanted = demo_people.wanted_pairs(community, rows, get)
    assert 0 < len(wanted) - sum(not row.why for row in rows) <= len(lacking)
    assert demo_people.judge(community, rows, wanted, get)
    one = next(iter(wanted))
    for wrong in (wanted - Counter([one]), wanted + Counter([one]), wanted + Counter([(7, 7)])):
        assert not demo_people.judge(community, rows, wrong, get)
    capsys.readouterr()
