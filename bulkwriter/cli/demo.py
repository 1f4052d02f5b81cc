"""`bulkwriter demo`: a stub in a process of its own, made-up pairs, a real run, and its summary held against the stub.

No account, no network, no file but in a temporary folder (`--keep` leaves it).  The run is the very `run` command,
with nothing of the caller's `BULKWRITER_*` environment.  Afterwards every record that the stub holds is compared with
the pairs of the file: the exit code is 0 only if the run's is, and each pair is there exactly once.  `--people` begins
with a spreadsheet instead (`demo_people`).

The stub ends when its stdin does, so that it does not outlive a demo that was killed; and it stands in a session of
its own, so that a Ctrl-C meant for the run does not take the server away from it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from ..entities.completed_lessons import COMPLETED_LESSONS
from ..errors import BulkwriterError
from .config_files import NO_FILES
from .main import main, put_stderr
from .options import ENV

FIRST_IDS = 100
CALM = {"seed": 1, "latency_s": 0.05, "latency_sigma": 0.3}
FAULTY = {
    **CALM,
    "limits": [{"kind": "bucket", "count": 1_000, "window_s": 1, "burst": 100, "status": 409}],
    "faults": {"rst_before": 0.01, "rst_after": 0.01, "500_before": 0.01, "500_after": 0.01, "garbage_after": 0.005},
    "list_lag_s": 0.5,
}


@click.command("demo")
@click.option(
    "--pairs", "count", type=click.IntRange(1, 10**6), default=5_000, show_default=True, help="how many pairs"
)
@click.option("--people", is_flag=True, help="begin with a spreadsheet of people: resolve, plan, run, verify, export")
@click.option("--faults", is_flag=True, help="let the server throttle, fail and lose replies")
@click.option("--keep", is_flag=True, help="keep the folder with source and journal")
@click.option(
    "--progress", type=click.Choice(["auto", "rich", "plain", "none"]), default="auto", help="how to show progress"
)
def command(count: int, people: bool, faults: bool, keep: bool, progress: str) -> int:
    """Show a run against the local server.  It needs no account, and it touches no file of yours."""
    for name in [name for name in os.environ if name.startswith(ENV)]:
        del os.environ[name]
    os.environ[NO_FILES] = "none"
    folder = Path(tempfile.mkdtemp(prefix="bulkwriter-demo-"))
    os.environ["XDG_CACHE_HOME"] = os.environ["XDG_STATE_HOME"] = str(folder / "home")
    scenario = FAULTY if faults else CALM
    try:
        if people:
            return show_people(folder, scenario=scenario, progress=progress)
        return show(folder, count, scenario=scenario, progress=progress)
    finally:
        if keep:
            put_stderr(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
            put_stderr(
                "The server has ended, so there is nothing left to verify."
                "  Source and journal were in a temporary folder that is deleted now; --keep leaves them."
            )


def show(folder: Path, count: int, *, scenario: dict[str, Any], progress: str) -> int:
    """Make the pairs, run them into a stub, and compare."""
    source = folder / "pairs.csv"
    expected = [(1 + i % FIRST_IDS, 1 + i // FIRST_IDS) for i in range(count)]
    rows = "".join(f"{first},{second}\n" for first, second in expected)
    source.write_text(",".join(COMPLETED_LESSONS.fields) + "\n" + rows, encoding="ascii")
    with stub(folder, scenario) as (base_url, token):
        (folder / "token").write_text(token, encoding="ascii")
        where = ["--base-url", base_url, "--token-file", str(folder / "token")]
        how = ["--progress", progress, "--doubt-wait", "2"]
        code = main(["run", str(source), *where, *how])
        try:
            truth = get(base_url, "/stub/truth")
            there = records(base_url)
        except OSError as e:
            put_stderr(f"demo: the stub does not answer: {e}")
            return code or 1
    return judge(Counter(expected), there, truth, code)


def show_people(folder: Path, *, scenario: dict[str, Any], progress: str) -> int:
    """Make a spreadsheet, take it the whole way into a stub, and compare."""
    from . import demo_people

    scenario = {**scenario, **demo_people.SCENARIO}
    community, rows = demo_people.make_table(folder, scenario)
    with stub(folder, scenario) as (base_url, token):
        (folder / "token").write_text(token, encoding="ascii")
        where = ["--base-url", base_url, "--token-file", "token", "--doubt-wait", "2"]
        with contextlib.chdir(folder):
            codes = demo_people.show(where, ["--progress", progress])
        try:
            is_true = demo_people.judge(community, rows, records(base_url), lambda path: fetch(base_url, path))
        except OSError as e:
            put_stderr(f"demo: the stub does not answer: {e}")
            return max(codes.values())
    worst = max(codes.values())
    return 0 if is_true and worst <= 1 else max(1, worst)


def judge(expected: Counter[tuple[int, int]], there: Counter[tuple[int, int]], truth: dict[str, Any], code: int) -> int:
    """Say whether the server holds each pair exactly once; the exit code of the demo."""
    missing = len(expected - there)
    doubled = truth["doubles"]
    is_true = code == 0 and expected == there and not doubled
    unlike = "as the demo was interrupted" if code > 128 else "which is NOT what was wanted"
    verdict = "which is what the run says" if is_true else unlike
    put_stderr(
        f"\nThe stub itself counts {truth['records']:,} records, {missing:,} missing, {doubled:,} doubled: {verdict}."
    )
    return 0 if is_true else code or 1


@contextlib.contextmanager
def stub(folder: Path, scenario: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """A stub in a process of its own: its base URL and its token."""
    path = folder / "scenario.json"
    path.write_text(json.dumps(scenario), encoding="utf-8")
    line = [
        sys.executable,
        "-m",
        "bulkwriter",
        "stub",
        "--port=0",
        "--json",
        "--until-stdin-ends",
        f"--scenario={path}",
    ]
    with (folder / "stub.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  our own interpreter and module
            line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True
        )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        first = process.stdout.readline()
        if not first:
            raise BulkwriterError("the stub did not start", hint=(folder / "stub.log").read_text(encoding="utf-8"))
        said = json.loads(first)
        yield said["base_url"], said["token"]
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait()


def get(base_url: str, path: str) -> Any:
    return json.loads(fetch(base_url, path))


def records(base_url: str) -> Counter[tuple[int, int]]:
    """The pairs of all records, with how often each is there."""
    rows = map(json.loads, fetch(base_url, "/stub/records").splitlines())
    first, second = COMPLETED_LESSONS.fields
    return Counter((row[first], row[second]) for row in rows)


def fetch(base_url: str, path: str) -> bytes:
    """A body from the stub's admin calls; never through a proxy."""
    connection = http.client.HTTPConnection(urlsplit(base_url).netloc, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", path)
        return connection.getresponse().read()
