"""What `help testing` and `help ci` show is run here, as it stands there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bulkwriter.cli.manual_testing import BENCH, CI, EXAMPLE, TESTING, WORKFLOW

ROOT = Path(__file__).parent.parent.parent
LOSING = """
def test_a_pair_is_missing(bulkwriter_expect):
    bulkwriter_expect([(11, member) for member in range(10_000)])
"""


def run_pytest(folder: Path, text: str) -> str:
    """What pytest says of a test file, in a process of its own that loads our plugin and no other."""
    (folder / "test_service.py").write_text(text)
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)}
    plugin = "bulkwriter.stub.pytest_plugin"
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", plugin, str(folder)]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=180)
    return done.stdout + done.stderr


@pytest.mark.slow
def test_the_example_passes(tmp_path: Path) -> None:
    said = run_pytest(tmp_path, EXAMPLE)
    assert "4 passed" in said, said


@pytest.mark.slow
def test_a_failure_of_a_service_fits_a_screen(tmp_path: Path) -> None:
    said = run_pytest(tmp_path, LOSING)
    assert "1 failed" in said
    assert "10,000 missing: (11, 0), (11, 1), " in said
    assert len(said.splitlines()) < 40, said


@pytest.mark.parametrize("text", [TESTING, CI])
def test_a_topic_fits_a_terminal(text: str) -> None:
    assert max(len(line) for line in text.splitlines() if "bulkwriter_" not in line) <= 84


def git(folder: Path, *args: str) -> None:
    name = ("-c", "user.name=t", "-c", "user.email=t@localhost")
    subprocess.run(["git", *name, *args], cwd=folder, check=True, capture_output=True, timeout=60)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("git"), reason="git is not there")
def test_the_workflow_measures_both_and_ends_with_1_on_a_step_back(tmp_path: Path) -> None:
    origin, change = tmp_path / "origin", tmp_path / "change"
    (origin / "bench").mkdir(parents=True)
    (origin / "bench" / "test_cost.py").write_text(BENCH.replace("2_001", "201"))
    git(origin, "init", "-q", "-b", "main")
    git(origin, "add", "-A")
    git(origin, "commit", "-q", "-m", "the base")
    git(tmp_path, "clone", "-q", str(origin), str(change))
    env = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_ADDOPTS": "-p bulkwriter.stub.pytest_plugin",
        "PYTHONPATH": str(ROOT),
    }

    def sh(text: str) -> tuple[int, str]:
        done = subprocess.run(["sh", "-c", text], cwd=change, env=env, capture_output=True, text=True, timeout=200)
        return done.returncode, done.stdout + done.stderr

    generous = WORKFLOW.replace("1.15", "50")  # the machine is busy with other tests
    assert generous != WORKFLOW
    assert sh(generous)[0] == 0
    base, head = (json.loads((tmp_path / f"{side}.json").read_text()) for side in ("base", "head"))
    assert base.keys() == head.keys() == {"bench/test_cost.py::test_a_batch"}

    (tmp_path / "base.json").write_text(json.dumps({test: seconds / 1_000 for test, seconds in base.items()}))
    again = "\n".join(generous.splitlines()[-2:])
    code, said = sh(again)
    assert code == 1
    assert "times as much; allowed is 50" in said
    (tmp_path / "base.json").unlink()
    code, said = sh(again)
    assert code == 1
    assert "base.json has no figures" in said
    git(change, "mv", "bench", "measured")
    git(change, "commit", "-q", "-m", "no benchmarks yet")
    git(change, "mv", "measured", "bench")
    assert sh(generous.replace("origin/main", "HEAD"))[0] == 0  # on a kept folder, and a base without benchmarks
    assert json.loads((tmp_path / "base.json").read_text()) == {}
