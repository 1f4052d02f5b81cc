"""pyreqwest, on Rust's reqwest: one client, HTTP/1.1, as many connections as workers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from pyreqwest.client import ClientBuilder


@contextlib.asynccontextmanager
async def posting(url: str, token: str, workers: int) -> AsyncIterator[Callable[[bytes], Awaitable[tuple[int, bytes]]]]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Accept-Encoding": "identity"}
    builder = ClientBuilder().http1_only().max_connections(workers).default_headers(headers).no_proxy()
    async with builder.build() as client:

        async def post(body: bytes) -> tuple[int, bytes]:
            reply = await client.post(url).body_bytes(body).build().send()
            return reply.status, bytes(await reply.bytes())

        yield post
