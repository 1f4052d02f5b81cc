"""aiosonic: one client with a pool of as many connections as workers, none renewed."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import aiosonic
from aiosonic.connectors import TCPConnector
from aiosonic.pools import PoolConfig


@contextlib.asynccontextmanager
async def posting(url: str, token: str, workers: int) -> AsyncIterator[Callable[[bytes], Awaitable[tuple[int, bytes]]]]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Accept-Encoding": "identity"}
    pool = PoolConfig(size=workers, max_conn_requests=None)
    async with aiosonic.HTTPClient(TCPConnector(pool_configs={":default": pool})) as client:

        async def post(body: bytes) -> tuple[int, bytes]:
            reply = await client.post(url, data=body, headers=headers)
            return reply.status_code, await reply.content()

        yield post
