"""pytest fixtures for services that write with bulkwriter, loaded by pytest through the entry point `bulkwriter_stub`.

    def test_enrols(bulkwriter_stub, bulkwriter_settings, bulkwriter_expect):
        bulkwriter_stub.set_scenario(faults={"rst_after": 0.1}, seed=7)
        my_service(bulkwriter_settings, [(11, 42), (11, 43)])
        bulkwriter_expect([(11, 42), (11, 43)])

`bulkwriter_stub` is a fresh stub for each test, in a thread of its own (a `StubThread`).  Override the fixture
`bulkwriter_stub_scenario` to start it with a scenario, such as one with existing records, or with made-up people:
`{"people": {"coworkers": 500}}`, whose enrolments `bulkwriter_stub.enrolments()` gives.
`bulkwriter_settings` are settings for that stub, with waits of tenths of a second where the real ones are minutes;
`dataclasses.replace(bulkwriter_settings, in_flight=8)` changes some.  `bulkwriter_expect(pairs)` fails unless the stub
has each pair exactly once, in words that fit a screen.  `bulkwriter help testing` has an example.
`bulkwriter_clock` moves time on, and `bulkwriter_bench` measures (`bulkwriter help ci`).

pytest imports this module at every start, also where nobody uses it: nothing heavy may be imported at its top.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ..settings import Settings
    from .bench import Bench
    from .steered import SteeredClocks
    from .thread import StubThread


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of `bulkwriter_bench`."""
    group = parser.getgroup("bulkwriter")
    group.addoption(
        "--bulkwriter-figures", metavar="PATH", help="add the figures of bulkwriter_bench to this JSON file"
    )
    group.addoption(
        "--bulkwriter-base", metavar="PATH", help="the figures of another commit: fail where ours are worse"
    )
    group.addoption(
        "--bulkwriter-most-worse", metavar="R", type=float, default=1.15, help="... than R times those [1.15]"
    )


@pytest.fixture
def bulkwriter_stub_scenario() -> Any:
    """The scenario that `bulkwriter_stub` starts with: a Scenario or a mapping; override it at will."""
    return {}


@pytest.fixture
def bulkwriter_clock() -> SteeredClocks:
    """The clock of stub and settings: `await clock.advance(60)`, `await clock.until(an_awaitable)`."""
    from .steered import SteeredClocks

    return SteeredClocks()


@pytest.fixture
def bulkwriter_stub(bulkwriter_stub_scenario: Any, bulkwriter_clock: SteeredClocks) -> Iterator[StubThread]:
    """A running stub: .base_url, .token, .truth(), .records(), .enrolments(), .set_scenario(...), .reset()."""
    from .thread import StubThread

    with StubThread(bulkwriter_stub_scenario, clocks=bulkwriter_clock) as stub:
        yield stub


@pytest.fixture
def bulkwriter_settings(bulkwriter_stub: StubThread, bulkwriter_clock: SteeredClocks, tmp_path: Path) -> Settings:
    """Settings for the stub, with a journal in `tmp_path`, on `bulkwriter_clock`.

    No wait of ours takes longer than a fraction of a second: doubts are settled after 0.3 s, and pauses that we choose
    ourselves end after 0.2 s.  Waits that the server or a quota states are kept: `bulkwriter_clock` lets them pass.
    A server that is gone is given up after 10 s.
    """
    from ..settings import Limits, Settings

    limits = Limits(probe_pause_s=0.2, throttle_pause_s=0.2, drain_s=2.0)
    return Settings(
        base_url=bulkwriter_stub.base_url,
        token=bulkwriter_stub.token,
        journal=tmp_path / "bulkwriter.journal",
        ledger=tmp_path / "bulkwriter.ledger",
        late_apply_s=0.2,
        list_lag_s=0.05,
        give_up_after_s=10.0,
        clocks=bulkwriter_clock,
        limits=limits,
    )


@pytest.fixture
def bulkwriter_expect(bulkwriter_stub: StubThread) -> Callable[[Iterable[tuple[int, int]]], None]:
    """A function: fails unless the stub has each of the given pairs exactly once, and nothing else."""
    from .expectation import expecting

    return expecting(bulkwriter_stub)


@pytest.fixture
def bulkwriter_bench(
    request: pytest.FixtureRequest, bulkwriter_settings: Settings, bulkwriter_stub: StubThread, tmp_path: Path
) -> Bench:
    """`for settings in bulkwriter_bench():` measures what is done with them; `bulkwriter help ci` has an example."""
    from ..errors import UsageError
    from .bench import Bench, Figures, read_figures

    option = request.config.getoption
    path, base = option("--bulkwriter-figures"), option("--bulkwriter-base")
    if base:
        try:
            read_figures(Path(base))
        except UsageError as error:  # before anything is measured
            pytest.fail(str(error), pytrace=False)
    figures = Figures(
        path=Path(path) if path else None,
        base=Path(base) if base else None,
        most_worse=option("--bulkwriter-most-worse"),
    )
    return Bench(request.node.nodeid, figures, bulkwriter_settings, bulkwriter_stub, tmp_path)
