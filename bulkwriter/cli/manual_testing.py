"""Help topics for developers: `help testing` for a service's own tests, `help ci` for benchmarks that CI compares.

`EXAMPLE`, `BENCH` and `WORKFLOW` are shown as they are, and a test runs them (`tests/cli/test_manual_testing.py`).

Not here: the fixtures themselves (`stub.pytest_plugin`).
"""

from __future__ import annotations

from textwrap import indent
from typing import Final

EXAMPLE: Final = """\
import asyncio
import dataclasses

from bulkwriter import BulkWriter

PAIRS = [(11, member) for member in range(1, 101)]


async def write(settings):
    async with BulkWriter(settings) as writer:
        return await writer.write_all(PAIRS)


def test_every_pair_is_there_once(bulkwriter_settings, bulkwriter_expect):
    summary = asyncio.run(write(bulkwriter_settings))
    assert summary.counts.created == 100
    bulkwriter_expect(PAIRS)


def test_so_it_is_when_replies_are_lost(bulkwriter_stub, bulkwriter_settings, bulkwriter_expect):
    bulkwriter_stub.set_scenario(faults={"rst_after": 0.1}, seed=7)
    asyncio.run(write(dataclasses.replace(bulkwriter_settings, in_flight=8)))
    bulkwriter_expect(PAIRS)


def test_the_rest_goes_in_the_next_window(
    bulkwriter_settings, bulkwriter_clock, bulkwriter_expect
):
    async def main():
        settings = dataclasses.replace(bulkwriter_settings, quota=["write:15/10m"])
        async with BulkWriter(settings) as writer:
            writing = asyncio.create_task(writer.write_many(PAIRS[:20]))
            await bulkwriter_clock.advance(300)
            assert not writing.done()
            await bulkwriter_clock.until(writing)

    asyncio.run(main())
    bulkwriter_expect(PAIRS[:20])


def test_nobody_sits_out_a_stated_wait(
    bulkwriter_stub, bulkwriter_settings, bulkwriter_clock
):
    limit = {"kind": "window", "count": 60, "window_s": 60}
    bulkwriter_stub.set_scenario(limits=[limit])  # it states a Retry-After
    summary = asyncio.run(bulkwriter_clock.until(write(bulkwriter_settings)))
    assert summary.counts.created == 100
    assert summary.elapsed_s > 30
"""

TESTING: Final = """\
Testing a service that writes with bulkwriter

The package brings fixtures for pytest.  They are there as soon as it is
installed, and cost nothing where no test asks for them:

  bulkwriter_stub           the local server, fresh for each test: base_url,
                            token, set_scenario(...), records(), truth()
  bulkwriter_stub_scenario  override it to start the stub with a scenario
  bulkwriter_settings       Settings for that stub with a journal in tmp_path.
                            Doubts are settled after 0.3 s, our own pauses end
                            after 0.2 s, a dead server is given up after 10 s
  bulkwriter_expect(pairs)  fails unless the stub has each pair exactly once
  bulkwriter_clock          the clock of both, which a test moves on

Nobody sits out a wait.  What the test begins goes on in real time, with real
sockets and a real journal, until it waits for a time: a quota, a Retry-After,
the pause after a failure, the looks for a lost reply, the life of a token,
patience_s, give_up_after_s, timeout.  Then

  await bulkwriter_clock.advance(60)   lets a minute pass, all in order, and
                                       returns when nothing is left to be done
  await bulkwriter_clock.until(x)      lets time fly until x is done, and gives
                                       its result; 7 days at most, or most_s

The limits and latencies of the stub, and its tokens' lives, go by this clock
too.  It works from any thread and event loop.  Untouched, it is the machine's.
Sleeps of your own service stay real.  Each wait costs some milliseconds, and a
day of a quota that is spent some seconds.  The scenario can also lose replies,
answer late, refuse pairs and be down (bulkwriter help stub).

An example, which is a test of this package as well:

""" + indent(EXAMPLE, "  ")

BENCH: Final = """\
import asyncio

from bulkwriter import BulkWriter

PAIRS = [(11, member) for member in range(1, 2_001)]


async def write(settings):
    async with BulkWriter(settings) as writer:
        await writer.write_many(PAIRS)


def test_a_batch(bulkwriter_bench, bulkwriter_expect):
    for settings in bulkwriter_bench():
        asyncio.run(write(settings))
    bulkwriter_expect(PAIRS)
"""

WORKFLOW: Final = """\
set -eu
base=$(git merge-base origin/main HEAD)
rm -rf ../base && git worktree prune && git worktree add ../base "$base"
echo '{}' > ../base.json
[ ! -d ../base/bench ] ||
  (cd ../base && python -m pytest -q bench --bulkwriter-figures=../base.json)
python -m pytest -q bench --bulkwriter-figures=../head.json \\
  --bulkwriter-base=../base.json --bulkwriter-most-worse=1.15
"""

CI: Final = (
    """\
Benchmarks of your service in CI: exit 1 on a step back

The fixture bulkwriter_bench measures what a test does with its settings, in
five rounds: each has a new journal and an empty local server.  The figure is
the CPU time of the cheapest round, without the server's.  bench/test_cost.py:

"""
    + indent(BENCH, "  ")
    + """
Figures of two machines say nothing about each other.  So measure the base and
the change on one machine, in one job, and compare the two:

"""
    + indent(WORKFLOW, "  ")
    + """
A test whose figure is more than 1.15 times that of the base fails and says
both; one that the base does not have is only measured.  Let each loop run to
its end: a loop that is left by break has no figure.  1.15 is about what a
shared runner needs.  Each file is JSON: {test: seconds}.  Where your service is
installed and not run from its folder, install each side before its own pytest.

It needs no network and no account: bulkwriter help testing.  From another
language, start the server with bulkwriter stub (help stub) and give the service
its address.  bulkwriter's own benchmarks are in its repository.
"""
)
