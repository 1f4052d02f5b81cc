"""aiohttp as it is mostly written: `json=`, `asyncio.run`, and one `gather` over everything there is."""

from __future__ import annotations

import asyncio

import aiohttp

CONNECTIONS = 64
"""The only thing that is not the default (100), so that as many requests are in flight as with the others."""


async def write_all(url: str, token: str, pairs: list[tuple[int, int]]) -> int:
    async def post(lesson: int, member: int) -> bool:
        async with session.post(url, json={"CourseLessonId": lesson, "CourseMemberId": member}) as reply:
            reply.raise_for_status()
            said = await reply.json()
            return bool(said["WasSuccessful"])

    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector, headers={"Authorization": f"Bearer {token}"}) as session:
        return sum(await asyncio.gather(*(post(lesson, member) for lesson, member in pairs)))
