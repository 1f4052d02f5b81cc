"""The model of the API answers as the real stub does, to every request that verify and undo send."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bulkwriter.model import Reply
from bulkwriter.net.api import Api
from bulkwriter.server_client import ServerClient
from bulkwriter.settings import Settings
from bulkwriter.stub.thread import StubThread
from tests.conftest import CANARY
from tests.support.model_api import ModelApi

PAIRS = [(1, 5), (1, 6), (2, 5), (2, 7), (1, 5)]


async def ask_all(request: object, api: Api, filters_of: object) -> list[object]:
    """The same conversation with either: what was understood of each reply, but for CreatedOn."""
    heard: list[object] = []

    async def ask(data: bytes, *, is_page: bool = False, is_list: bool = False) -> None:
        reply: Reply = await request(data)  # type: ignore[operator]
        assert reply.fault is None
        body: object = None
        if is_page:
            body = replace(api.parse_page(reply.body), created_on=())
        elif is_list:
            body = [record[:2] for record in api.parse_records(reply.body)]
        heard.append((reply.status, body))

    async def look(**how: object) -> None:
        how = {"filters": {}, "page": 1, "size": 1_000, **how}
        await ask(api.list_page(CANARY, **how), is_page=True)  # type: ignore[arg-type]

    await look()
    await look(size=2, page=2)
    await look(size=2, page=3)
    await look(filters=filters_of(1, None))  # type: ignore[operator]
    await look(filters=filters_of(None, 5))  # type: ignore[operator]
    await look(filters=filters_of(1, 5), size=1)  # type: ignore[operator]
    await ask(api.by_ids(CANARY, [4, 2, 99]), is_list=True)
    await ask(api.delete(CANARY, 2))
    await ask(api.delete(CANARY, 2))
    await ask(api.by_ids(CANARY, [4, 2, 99]), is_list=True)
    await look()
    return heard


@pytest.mark.slow
async def test_the_model_answers_as_the_stub_does() -> None:
    model = ModelApi(PAIRS)
    with StubThread({"tokens": [CANARY], "existing": PAIRS}) as stub:
        settings = Settings(base_url=stub.base_url, token=CANARY)
        async with ServerClient(settings) as connection:
            real = await ask_all(connection.request, connection.api, connection.entity.filters)
    assert await ask_all(model.request, model.api, model.entity.filters) == real
