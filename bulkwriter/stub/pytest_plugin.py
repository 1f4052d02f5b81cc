"""pytest fixtures for services that write with bulkwriter, loaded by pytest through the entry point `bulkwriter_stub`.

    def test_enrols(bulkwriter_stub):
        bulkwriter_stub.set_scenario(faults={"rst_after": 0.1}, seed=7)
        my_service(base_url=bulkwriter_stub.base_url, token=bulkwriter_stub.token)
        assert bulkwriter_stub.truth()["doubles"] == 0

`bulkwriter_stub` is a fresh stub for each test, in a thread of its own (a `StubThread`).  Override the fixture
`bulkwriter_stub_scenario` to start it with a scenario, such as one with existing records, or with made-up people:
`{"people": {"coworkers": 500}}`, whose enrolments `bulkwriter_stub.enrolments()` gives.
pytest imports this module at every start, also where nobody uses it: nothing heavy may be imported at its top.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .thread import StubThread


@pytest.fixture
def bulkwriter_stub_scenario() -> Any:
    """The scenario that `bulkwriter_stub` starts with: a Scenario or a mapping; override it at will."""
    return {}


@pytest.fixture
def bulkwriter_stub(bulkwriter_stub_scenario: Any) -> Iterator[StubThread]:
    """A running stub: .base_url, .token, .truth(), .records(), .enrolments(), .set_scenario(...), .reset()."""
    from .thread import StubThread

    with StubThread(bulkwriter_stub_scenario) as stub:
        yield stub
