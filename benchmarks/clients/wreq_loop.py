"""wreq, on Rust, by the author of rnet: one client, HTTP/1.1, no cookies, as many connections as workers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import wreq


@contextlib.asynccontextmanager
async def posting(url: str, token: str, workers: int) -> AsyncIterator[Callable[[bytes], Awaitable[tuple[int, bytes]]]]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Accept-Encoding": "identity"}
    client = wreq.Client(http1_only=True, cookie_store=False, no_proxy=True, pool_max_size=workers)

    async def post(body: bytes) -> tuple[int, bytes]:
        reply = await client.post(url, headers=headers, body=body)
        return reply.status.as_int(), bytes(await reply.bytes())

    yield post
