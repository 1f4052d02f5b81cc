"""`bulkwriter stub` as a process: where it listens, what it knows, and its truth at the end."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from bulkwriter.cli.demo import fetch, judge, records
from bulkwriter.cli.demo import stub as demo_stub
from tests.support.cli_process import finish, start, write_pairs

pytestmark = pytest.mark.slow

TRUE = {"records": 2, "doubles": 0}


def base_url(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    said = json.loads(process.stdout.readline())
    assert said["token"] == "stub-token"
    return str(said["base_url"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_a_signal_and_tells_its_truth(tmp_path: Path, number: int) -> None:
    existing = write_pairs(tmp_path / "there.csv", 25)
    process = start("stub", "--port=0", "--json", "--existing", str(existing))
    url = base_url(process)
    assert sum(records(url).values()) == 25
    process.send_signal(number)
    done = finish(process)
    assert done.code == 0
    assert json.loads(done.out)["truth"]["seeded"] == 25
    assert f"BULKWRITER_TOKEN=stub-token bulkwriter run pairs.csv --base-url {url}" in done.err
    assert "25, 0 doubled, 25 there from the start" in done.err


def test_it_ends_with_its_parent() -> None:
    process = start("stub", "--port=0", "--json", "--until-stdin-ends", stdin=subprocess.PIPE)
    base_url(process)
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(180) == 0
    finish(process)


def test_a_scenario_is_loaded_and_a_slip_in_it_told(tmp_path: Path) -> None:
    scenario = tmp_path / "s.json"
    scenario.write_text('{"existing": {"lessons": 3, "members": 4}}', encoding="ascii")
    process = start("stub", "--port=0", "--json", f"--scenario={scenario}")
    assert sum(records(base_url(process)).values()) == 12
    process.terminate()
    assert finish(process).code == 0
    scenario.write_text('{"latencys": 1}', encoding="ascii")
    done = finish(start("stub", "--port=0", f"--scenario={scenario}"))
    assert done.code == 2
    assert "latency" in done.err


def test_a_port_that_is_taken_and_bad_existing_pairs_are_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = finish(start("stub", f"--port={taken.getsockname()[1]}"))
    assert done.code == 2
    assert "cannot listen" in done.err
    existing = tmp_path / "bad.csv"
    existing.write_text("CourseLessonId,CourseMemberId\n1,x\n", encoding="ascii")
    done = finish(start("stub", "--port=0", f"--existing={existing}"))
    assert done.code == 6
    assert "line 2" in done.err


def test_the_demos_stub_is_a_process_of_its_own(tmp_path: Path) -> None:
    with demo_stub(tmp_path, {"seed": 1}) as (url, token):
        assert token == "stub-token"
        assert json.loads(fetch(url, "/stub/truth"))["records"] == 0
    with pytest.raises(ConnectionRefusedError):
        fetch(url, "/stub/truth")


@pytest.mark.parametrize(
    ("there", "truth", "code", "expected"),
    [
        ({(1, 1): 1, (1, 2): 1}, TRUE, 0, 0),
        ({(1, 1): 1}, {**TRUE, "records": 1}, 0, 1),
        ({(1, 1): 2, (1, 2): 1}, {**TRUE, "records": 3, "doubles": 1}, 0, 1),
        ({(1, 1): 1, (1, 2): 1, (9, 9): 1}, {**TRUE, "records": 3}, 0, 1),
        ({(1, 1): 1, (1, 2): 1}, TRUE, 3, 3),
    ],
    ids=["true", "missing", "doubled", "stranger", "run failed"],
)
def test_a_demo_is_good_only_if_all_is_true(
    there: dict[tuple[int, int], int], truth: dict[str, int], code: int, expected: int
) -> None:
    assert judge(Counter([(1, 1), (1, 2)]), Counter(there), truth, code) == expected
