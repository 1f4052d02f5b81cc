"""The model of the API answers as the real stub does, to every request that verify and undo send, of either entity."""

from __future__ import annotations

import json

import pytest

from bulkwriter.entities import Entity
from bulkwriter.entities.completed_lessons import COMPLETED_LESSONS
from bulkwriter.entities.enrolments import ENROLMENTS
from bulkwriter.model import Reply
from bulkwriter.net.api import Api
from bulkwriter.server_client import ServerClient
from bulkwriter.settings import Settings
from bulkwriter.stub.community import FIRST_COURSE, FIRST_COWORKER, FIRST_ENROLMENT
from bulkwriter.stub.thread import StubThread
from tests.conftest import CANARY
from tests.support.model_api import ModelApi

PAIRS = [(1, 5), (1, 6), (2, 5), (2, 7), (1, 5)]
NOBODY_YET = {"enrolments": 0, "drifters": 0}


async def ask_all(request: object, api: Api, *, first_id: int, pairs: list[tuple[int, int]]) -> list[object]:
    """The same conversation with either: what was understood of each reply, but for CreatedOn.

    The records of `pairs` are there, with ids from `first_id` on.
    """
    heard: list[object] = []
    filters_of = api.entity.filters
    (first, second), other = pairs[0], first_id + 98

    async def ask(data: bytes, *, is_page: bool = False, is_list: bool = False) -> None:
        reply: Reply = await request(data)  # type: ignore[operator]
        assert reply.fault is None
        body: object = None
        if is_page:
            body = api.parse_page(reply.body)._replace(created_on=())
        elif is_list:
            body = [record[:2] for record in api.parse_records(reply.body)]
        heard.append((reply.status, body))

    async def look(**how: object) -> None:
        how = {"filters": {}, "page": 1, "size": 1_000, **how}
        await ask(api.list_page(CANARY, **how), is_page=True)  # type: ignore[arg-type]

    await look()
    await look(size=2, page=2)
    await look(size=2, page=3)
    await look(filters=filters_of(first, None))
    await look(filters=filters_of(None, second))
    await look(filters=filters_of(first, second), size=1)
    await ask(api.by_ids(CANARY, [first_id + 3, first_id + 1, other]), is_list=True)
    await ask(api.delete(CANARY, first_id + 1))
    await ask(api.delete(CANARY, first_id + 1))
    await ask(api.by_ids(CANARY, [first_id + 3, first_id + 1, other]), is_list=True)
    await look()
    return heard


@pytest.mark.slow
@pytest.mark.parametrize("entity", [COMPLETED_LESSONS, ENROLMENTS], ids=lambda entity: entity.name)
async def test_the_model_answers_as_the_stub_does(entity: Entity) -> None:
    is_lessons = entity is COMPLETED_LESSONS
    first_id = 1 if is_lessons else FIRST_ENROLMENT
    pairs = PAIRS if is_lessons else [(FIRST_COURSE + a, FIRST_COWORKER + b) for a, b in PAIRS]
    model = ModelApi(pairs, entity=entity, first_id=first_id)
    scenario = {"tokens": [CANARY], "people": NOBODY_YET, "existing": PAIRS if is_lessons else []}
    with StubThread(scenario) as stub:
        settings = Settings(base_url=stub.base_url, token=CANARY)
        async with ServerClient(settings, entity) as connection:
            for pair in [] if is_lessons else pairs:
                made = await connection.request(connection.api.create(CANARY, pair))
                assert json.loads(made.body)["WasSuccessful"]
            real = await ask_all(connection.request, connection.api, first_id=first_id, pairs=pairs)
    assert await ask_all(model.request, model.api, first_id=first_id, pairs=pairs) == real
