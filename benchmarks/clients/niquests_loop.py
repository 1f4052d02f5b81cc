"""niquests: one AsyncSession with as many connections as workers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import niquests


@contextlib.asynccontextmanager
async def posting(url: str, token: str, workers: int) -> AsyncIterator[Callable[[bytes], Awaitable[tuple[int, bytes]]]]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Accept-Encoding": "identity"}
    async with niquests.AsyncSession(
        pool_connections=1, pool_maxsize=workers, headers=headers, allow_incoming_cookies=False, timeout=90
    ) as session:
        session.trust_env = False

        async def post(body: bytes) -> tuple[int, bytes]:
            reply = await session.post(url, data=body)
            return reply.status_code or 0, reply.content or b""

        yield post
