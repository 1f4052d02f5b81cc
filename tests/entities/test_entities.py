"""An entity is one value: what is said of it on the wire and before people is said of another one just as well."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from bulkwriter import BulkWriter, Settings
from bulkwriter.entities import Entity
from bulkwriter.entities.completed_lessons import COMPLETED_LESSONS
from bulkwriter.errors import ConfigurationStop
from bulkwriter.events import Event, Note
from bulkwriter.listing.lister import Lister, telling_orphans
from bulkwriter.listing.retry_until_deadline import needs_list
from bulkwriter.model import Reply
from bulkwriter.net.api import NOBODY, Api, BadList, ListedRecord
from bulkwriter.net.auth import FixedToken, TokenSource
from bulkwriter.server_client import ServerClient
from bulkwriter.store.journal_reader import JournalReader
from bulkwriter.wiring import Assembly

LOANS = Entity(
    name="LibraryLoan",
    path="/api/library/loans",
    fields=("ShelfId", "ReaderId"),
    filter_names=("LibraryLoan_Shelf", "LibraryLoan_Reader"),
    words=("shelf", "reader"),
    plural="loans",
)
BASE = "https://api.example/prefix"
ENVELOPE = {"CurrentPage": 1, "CurrentPageSize": 1_000, "HasNextPage": False}


def head_of(request: bytes) -> str:
    return request.partition(b"\r\n")[0].decode()


def test_a_create_of_another_entity_has_its_path_and_fields() -> None:
    api = Api(BASE, LOANS)
    request = api.create("t", (7, 8))
    assert head_of(request) == "POST /prefix/api/library/loans HTTP/1.1"
    assert request.partition(b"\r\n\r\n")[2] == b'{"ShelfId":7,"ReaderId":8}'
    assert head_of(api.delete("t", 9)) == "DELETE /prefix/api/library/loans/9 HTTP/1.1"
    assert head_of(api.by_ids("t", [9])).startswith("GET /prefix/api/library/loans/?id=%5B9%5D&")


@pytest.mark.parametrize(
    ("first", "second", "filters"),
    [
        (None, None, {}),
        (7, None, {"LibraryLoan_Shelf": "7"}),
        (None, 8, {"LibraryLoan_Reader": "8"}),
        (7, 8, {"LibraryLoan_Shelf": "7", "LibraryLoan_Reader": "8"}),
    ],
)
def test_a_list_of_another_entity_is_filtered_by_its_names(
    first: int | None, second: int | None, filters: dict[str, str]
) -> None:
    request = Api(BASE, LOANS).list_page("t", filters=LOANS.filters(first, second))
    target = urlsplit(head_of(request).split()[1])
    assert target.path == "/prefix/api/library/loans"
    asked = {name: value for name, (value,) in parse_qs(target.query).items()}
    assert {name: value for name, value in asked.items() if name.startswith("Library")} == filters


def test_records_of_another_entity_are_read_by_its_fields() -> None:
    api = Api(BASE, LOANS)
    records = [{"Id": 3, "ShelfId": 7, "ReaderId": 8}, {"Id": 2, "ShelfId": 7}, {"Id": 1, "CourseLessonId": 7}]
    assert api.parse_records(json.dumps(records).encode()) == [
        ListedRecord(3, (7, 8), None),
        ListedRecord(2, (7, NOBODY), None),
        ListedRecord(1, (NOBODY, NOBODY), None),
    ]
    strangers = [{"Id": record_id, "CourseLessonId": 7, "CourseMemberId": 8} for record_id in (3, 2, 1)]
    with pytest.raises(BadList, match="has a ShelfId or a ReaderId"):
        api.parse_page(json.dumps({**ENVELOPE, "TotalItems": 3, "Records": strangers}).encode())


def test_another_entity_is_listed_and_its_orphans_are_told_in_its_words() -> None:
    events: list[Event] = []
    sent: list[bytes] = []

    async def request(data: bytes) -> Reply:
        sent.append(data)
        records = [{"Id": 3, "ShelfId": 7, "ReaderId": 8}, {"Id": 2, "ShelfId": 7}]
        return Reply(200, json.dumps({**ENVELOPE, "TotalItems": 2, "Records": records}).encode())

    async def main() -> list[tuple[int, tuple[int, int]]]:
        tokens = TokenSource(FixedToken("t", LOANS.create_role))
        lister = Lister(request, Api(BASE, LOANS), tokens, wall=lambda: 0.0, most_age_s=5.0)
        page = await telling_orphans(lister.page, events.append, LOANS)(LOANS.filters(7, None), 1)
        return page.records

    assert asyncio.run(main()) == [(3, (7, 8)), (2, (7, NOBODY))]
    assert b"LibraryLoan_Shelf=7" in sent[0]
    assert events == [Note("1 listed record has no shelf or no reader any more (Id 2): nobody's pair, so passed over")]


def test_what_talks_to_the_server_is_made_with_an_entity() -> None:
    settings = Settings(base_url="http://127.0.0.1:1", token="t")
    assert ServerClient(settings, LOANS).api.entity is LOANS
    assert ServerClient(settings).api.entity is COMPLETED_LESSONS


async def test_the_journal_of_another_entity_has_its_columns(tmp_path: Path) -> None:
    settings = Settings(base_url="http://127.0.0.1:1", token="t", journal=tmp_path / "journal")
    async with BulkWriter(settings, assembly=Assembly(settings, columns=(None, "Who"), entity=LOANS)):
        pass
    with JournalReader(tmp_path / "journal") as reader:
        assert reader.identity().columns == ("ShelfId", "Who")


async def test_a_refused_token_may_lack_the_role_of_the_entity() -> None:
    connection = ServerClient(Settings(base_url="http://127.0.0.1:1", token="t"), LOANS)
    token = await connection.tokens.current()
    with pytest.raises(ConfigurationStop) as stop:
        await connection.tokens.refresh(token.generation)
    assert "LibraryLoan-Create" in stop.value.hint
    assert "LibraryLoan-List" in needs_list(LOANS.list_role)


def test_a_pair_is_told_in_the_words_of_its_entity() -> None:
    assert LOANS.describe((7, "none")) == "shelf 7, reader none"
    assert COMPLETED_LESSONS.describe((11, 42)) == "lesson 11, member 42"
