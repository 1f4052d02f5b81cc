"""A server that shares no line with our stub: what the API's pages leave open, other servers do in other ways.

One class, hand-written over asyncio's streams, in a thread of its own.  Every `Manner` is a way in which a real server
may differ from ours; `loses` makes it lose replies after it applied the request, so that lists must tell the truth.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC).timestamp()


@dataclass(frozen=True, slots=True)
class Manner:
    """How the server differs; the defaults are how ours is."""

    status: int = 200
    version: str = "HTTP/1.1"
    is_lower: bool = False  # header names
    value: tuple[tuple[str, Any], ...] = ()  # more fields in Value
    ids: str = "rising"  # or "random", "huge", "falling", "blocks" (of two backends, in turns), "shared" (with others)
    answers_old: bool = False  # a second POST of a pair makes nothing, and is answered with the record that was there
    dated: str = "zoned"  # CreatedOn; or "local" (of a zone that it does not tell), "none"
    is_old: bool = False  # PageNumber and PageSize instead of the newer names
    order: str = "as asked"  # or "ascending" (whatever is asked), "none" (as they came, shuffled)
    most_size: int = 1_000
    ignores_filters: bool = False
    closes: bool = False  # after each reply, without a word
    says_close: bool = False
    keep_alive: str = ""
    idle_s: float = 0.0  # closes idle connections so soon
    trickle_s: float = 0.0  # between two parts of a reply
    chunked: bool = False
    loses: float = 0.0
    seed: int = 1


class Stranger:
    """`with Stranger(manner) as server`: then `.base_url`, `.records` (id -> pair), `.calls`."""

    def __init__(self, manner: Manner, existing: list[tuple[int, int]] | None = None) -> None:
        self.manner = manner
        self.rng = random.Random(manner.seed)
        self.records: dict[int, tuple[int, int]] = {}
        self.made_at: dict[int, float] = {}
        self.calls = {"POST": 0, "GET": 0, "DELETE": 0}
        self._started: Future[str] = Future()
        self._end: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), name="stranger", daemon=True)
        for pair in existing or []:
            self.made_at[self._create(pair)] = LONG_AGO

    @property
    def count(self) -> tuple[int, int]:
        """(different pairs, records too many)."""
        pairs = list(self.records.values())
        return len(set(pairs)), len(pairs) - len(set(pairs))

    def __enter__(self) -> Self:
        self._thread.start()
        self.base_url = self._started.result(10)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop
        assert self._end
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    async def _main(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._started.set_result(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        await self._end.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, TimeoutError):
            pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        manner = self.manner
        head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), manner.idle_s or None)).decode()
        method, target, _ = head.split("\r\n")[0].split(" ")
        fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
        body = await reader.readexactly(int(fields.get("content-length", 0)))
        self.calls[method] += 1
        said: Any
        if method == "POST":
            sent = json.loads(body)
            said, status = self._created(self._create((sent["CourseLessonId"], sent["CourseMemberId"]))), manner.status
            if self.rng.random() < manner.loses:
                return False
        elif method == "DELETE":
            there = self.records.pop(int(target.rpartition("/")[2]), None)
            said, status = ({**self._created(0), "Value": None}, 200) if there else ("Not found", 404)
        elif "id=%5B" in target or "id=[" in target:
            ids = json.loads(parse_qs(urlsplit(target).query)["id"][0])
            said, status = [self._record(i) for i in ids if i in self.records], 200
        else:
            said, status = self._listed({k: v[0] for k, v in parse_qs(urlsplit(target).query).items()}), 200
        return await self._reply(writer, status, json.dumps(said).encode())

    def _create(self, pair: tuple[int, int]) -> int:
        if self.manner.answers_old and (there := [i for i, its_pair in self.records.items() if its_pair == pair]):
            return there[0]
        rising = len(self.records) + 1
        record_id = {
            "rising": rising,
            "falling": 10**9 - rising,
            "huge": 2**63 - 1 - 10**6 + rising,
            "random": self.rng.randrange(1, 2**53),
            "blocks": 10_000 * (1 + rising % 2) + rising,
            "shared": 7 * rising + self.rng.randrange(7),
        }[self.manner.ids]
        self.records[record_id], self.made_at[record_id] = pair, time.time()
        return record_id

    def _created(self, record_id: int) -> dict[str, Any]:
        value = {**dict(self.manner.value), "Id": record_id}
        return {"Status": 200, "Message": "ok", "Value": value, "Errors": None, "WasSuccessful": True}

    def _record(self, record_id: int) -> dict[str, Any]:
        lesson, member = self.records[record_id]
        moment = datetime.fromtimestamp(self.made_at[record_id], UTC)
        text = f"{moment:%Y-%m-%dT%H:%M:%S}"
        dates = {"zoned": {"CreatedOn": f"{text}Z"}, "local": {"CreatedOn": text}, "none": {}}
        return {"Id": record_id, "CourseLessonId": lesson, "CourseMemberId": member, **dates[self.manner.dated]}

    def _listed(self, query: dict[str, str]) -> dict[str, Any]:
        manner, wanted = (
            self.manner,
            [query.get(f"CourseCompletedLesson_Course{what}") for what in ("Lesson", "Member")],
        )
        rows: list[dict[str, Any]] = [
            self._record(i)
            for i, (a, b) in self.records.items()
            if manner.ignores_filters or all(w is None or int(w) == x for w, x in zip(wanted, (a, b), strict=True))
        ]
        if manner.order != "none":
            rows.sort(key=lambda row: row["Id"], reverse=manner.order == "as asked" and query.get("dir") == "-1")
        page, size = int(query.get("page", 1)), min(int(query.get("size", 25)), manner.most_size)
        names = ("PageNumber", "PageSize") if manner.is_old else ("CurrentPage", "CurrentPageSize")
        return {
            "Records": rows[(page - 1) * size : page * size],
            names[0]: page,
            names[1]: size,
            "HasNextPage": page * size < len(rows),
            "TotalItems": len(rows),
        }

    async def _reply(self, writer: asyncio.StreamWriter, status: int, body: bytes) -> bool:
        manner = self.manner
        fields = {"Content-Type": "application/json; charset=utf-8", "Server": "other"}
        if manner.chunked:
            fields["Transfer-Encoding"] = "chunked"
            body = b"".join(
                b"%x\r\n%b\r\n" % (len(body[i : i + 99]), body[i : i + 99]) for i in range(0, len(body), 99)
            )
            body += b"0\r\n\r\n"
        elif manner.version == "HTTP/1.1" or not manner.closes:
            fields["Content-Length"] = str(len(body))
        if manner.says_close:
            fields["Connection"] = "close"
        if manner.keep_alive:
            fields["Keep-Alive"] = manner.keep_alive
        lines = [f"{name.lower() if manner.is_lower else name}: {value}" for name, value in fields.items()]
        data = "\r\n".join([f"{manner.version} {status} Fine", *lines, "", ""]).encode() + body
        step = max(1, len(data) // 5) if manner.trickle_s else len(data)
        for i in range(0, len(data), step):
            writer.write(data[i : i + step])
            await asyncio.sleep(manner.trickle_s)
        await writer.drain()
        return not manner.closes
