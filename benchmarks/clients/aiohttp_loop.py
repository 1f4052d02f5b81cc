"""aiohttp as somebody writes it who has read its documentation: one session, no cookies, bytes in and out."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp


@contextlib.asynccontextmanager
async def posting(url: str, token: str, workers: int) -> AsyncIterator[Callable[[bytes], Awaitable[tuple[int, bytes]]]]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Accept-Encoding": "identity"}
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=workers),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=headers,
        auto_decompress=False,
    ) as session:

        async def post(body: bytes) -> tuple[int, bytes]:
            async with session.post(url, data=body) as reply:
                return reply.status, await reply.read()

        yield post
