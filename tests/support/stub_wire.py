"""A plain, trusting HTTP client for the tests of the stub: raw bytes out, and whatever comes back, by hand.

It shares no code with the lanes or with the stub, so that neither can hide the other's mistakes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from bulkwriter.stub import StubServer, StubThread

COLLECTION = "/api/content/coursecompletedlessons"
TOKEN = "stub-token"
TIMEOUT_S = 30.0


@dataclass
class Said:
    """One reply.  `headers` have lower-case names."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def reply(self) -> Said:
        """The next reply, 1xx ones too; raises IncompleteReadError or ConnectionError where none comes."""
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), TIMEOUT_S)).decode("latin-1")
        first, *lines = head.rstrip("\r\n").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        status = int(first.split(" ")[1])
        return Said(status, headers, b"" if status == 100 else await self._body(headers))

    async def _body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(await self.reader.readline(), 16):
                body += await self.reader.readexactly(size)
                await self.reader.readline()
            await self.reader.readline()
            return body
        if "content-length" in headers:
            return await asyncio.wait_for(self.reader.readexactly(int(headers["content-length"])), TIMEOUT_S)
        return await self.rest()

    async def rest(self) -> bytes:
        """Everything until the other side closes; raises ConnectionResetError on a reset."""
        return await asyncio.wait_for(self.reader.read(), TIMEOUT_S)

    async def is_silent(self, for_s: float = 0.05) -> bool:
        """Whether nothing comes for a while, not even an end."""
        try:
            await asyncio.wait_for(self.reader.read(1), for_s)
        except TimeoutError:
            return True
        return False

    async def create(self, lesson_id: int, member_id: int) -> Said:
        self.send(create(lesson_id, member_id))
        return await self.reply()

    async def call(self, method: str, target: str, body: bytes = b"", **headers: str) -> Said:
        self.send(request(method, target, body, **headers))
        return await self.reply()

    async def close(self) -> None:
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()


@asynccontextmanager
async def wire(stub: StubServer | StubThread, **options: Any) -> AsyncIterator[Wire]:
    """A connection to a stub."""
    at = urlsplit(stub.base_url)
    made = Wire(*await asyncio.open_connection(at.hostname, at.port, limit=2**24, **options))
    try:
        yield made
    finally:
        await made.close()


async def call(stub: StubServer | StubThread, method: str, target: str, body: bytes = b"", **headers: str) -> Said:
    """One request on a connection of its own."""
    async with wire(stub) as made:
        return await made.call(method, target, body, **headers)


def request(method: str, target: str, body: bytes = b"", **headers: str) -> bytes:
    """A request; keyword names become header names, with "-" for "_" unless the name is client_id."""
    fields = {"Host": "127.0.0.1", "Authorization": f"Bearer {TOKEN}", "Content-Length": str(len(body))}
    fields |= {name if name == "client_id" else name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def create(lesson_id: object, member_id: object, **headers: str) -> bytes:
    body = json.dumps({"CourseLessonId": lesson_id, "CourseMemberId": member_id}).encode()
    return request("POST", COLLECTION, body, Content_Type="application/json", **headers)
