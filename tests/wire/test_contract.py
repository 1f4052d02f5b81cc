"""The contract of the wire: every fault × {new, kept-alive} × {plain, TLS} × {asyncio, uvloop}.

For each: the reply that the client reports, what the server really read and did, and above all that nothing reported as
unsent ever reached the server.
"""

from __future__ import annotations

import asyncio

import pytest

from .cases import CASES, NOT_SENT, Case
from .drive import LOOPS, Certificates, Result, run_case, run_on

AT_ONCE = 16


async def run_all(*, is_warm: bool, certificates: Certificates | None) -> list[tuple[Case, Result]]:
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(case: Case) -> tuple[Case, Result]:
        async with turns:
            return case, await run_case(case, is_warm=is_warm, certificates=certificates)

    return await asyncio.gather(*(one(case) for case in CASES if not (case.only_new if is_warm else case.only_warm)))


def problems(case: Case, result: Result) -> list[str]:
    found = list(result.problems)
    if result.seen not in case.expected:
        found.append(f"expected {sorted(map(str, case.expected))}")
    if result.seen == NOT_SENT and (result.server_requests or result.applied):
        found.append("claimed as unsent, but the server had it")
    if result.seen != NOT_SENT and result.applied != case.applied:
        found.append(f"applied {result.applied} times")
    if case.is_stray not in (None, bool(result.strays)):
        found.append("stray bytes unnoticed" if case.is_stray else "a stray that was none")
    if result.ends > 1:
        found.append(f"ended {result.ends} times")
    if result.redirected:
        found.append("followed a redirect")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("transport", ["plain", "TLS"])
@pytest.mark.parametrize("is_warm", [False, True], ids=["new", "kept-alive"])
def test_every_fault_is_told_as_what_it_is(
    loop: str, transport: str, is_warm: bool, certificates: Certificates
) -> None:
    results = run_on(loop, run_all(is_warm=is_warm, certificates=certificates if transport == "TLS" else None))
    failures = [f"{case.name}: {found} {result}" for case, result in results if (found := problems(case, result))]
    assert not failures, "\n".join(failures)
    assert len(results) >= 50
