"""httpx: one AsyncClient with as many connections as workers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx


@contextlib.asynccontextmanager
async def posting(url: str, token: str, workers: int) -> AsyncIterator[Callable[[bytes], Awaitable[tuple[int, bytes]]]]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Accept-Encoding": "identity"}
    limits = httpx.Limits(max_connections=workers, max_keepalive_connections=workers)
    async with httpx.AsyncClient(headers=headers, limits=limits, trust_env=False, timeout=90) as client:

        async def post(body: bytes) -> tuple[int, bytes]:
            reply = await client.post(url, content=body)
            return reply.status_code, reply.content

        yield post
