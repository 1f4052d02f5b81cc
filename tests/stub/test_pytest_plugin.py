"""The pytest plugin in a pytest of its own, as a service that imports us would have it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import bulkwriter

SERVICE_TEST = """
import json, sys, urllib.error, urllib.request
import pytest

HEAVY = [name for name in ("asyncio", "httptools", "orjson", "bulkwriter.stub.thread") if name in sys.modules]


def create(stub, member):
    body = json.dumps({"CourseLessonId": 1, "CourseMemberId": member}).encode()
    request = urllib.request.Request(
        stub.base_url + "/api/content/coursecompletedlessons", body,
        {"Authorization": "Bearer " + stub.token, "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as reply:
        return json.load(reply)["Value"]["Id"]


def test_light_at_start():
    assert "bulkwriter.stub.thread" not in HEAVY and "httptools" not in HEAVY


def test_one(bulkwriter_stub):
    assert create(bulkwriter_stub, 5) == 1
    bulkwriter_stub.set_scenario(faults={"500_after": 1})
    with pytest.raises(urllib.error.HTTPError):
        create(bulkwriter_stub, 6)
    assert bulkwriter_stub.truth()["creates_applied"] == 2


def test_fresh(bulkwriter_stub):
    assert bulkwriter_stub.truth()["records"] == 0


class TestWithScenario:
    @pytest.fixture
    def bulkwriter_stub_scenario(self):
        return {"existing": [[1, 2], [1, 3]]}

    def test_existing(self, bulkwriter_stub):
        assert bulkwriter_stub.truth()["seeded"] == 2


class TestWithPeople:
    @pytest.fixture
    def bulkwriter_stub_scenario(self):
        return {"people": {"coworkers": 20, "courses": 2, "enrolments": 9, "drifters": 0, "profiles": 0}}

    def test_people(self, bulkwriter_stub):
        assert len(bulkwriter_stub.enrolments()) == bulkwriter_stub.truth()["people"]["enrolments"] == 9
"""


@pytest.mark.slow
def test_a_service_can_use_the_fixtures(tmp_path: Path) -> None:
    (tmp_path / "test_service.py").write_text(SERVICE_TEST)
    # without entry points, so that the plugin is loaded once whether or not the package is installed
    root = str(Path(bulkwriter.__file__).parent.parent)
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": root}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-W",
        "error",
        "-p",
        "bulkwriter.stub.pytest_plugin",
        str(tmp_path),
    ]
    run = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=180)
    assert "5 passed" in run.stdout, run.stdout + run.stderr
