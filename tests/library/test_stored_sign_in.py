"""A writer of the library with the stored sign-in: shared with the command line, renewed while it writes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from bulkwriter import BulkWriter, Settings, UsageError
from bulkwriter.store.sign_in_file import SignInFile
from tests.support.cli_process import stub
from tests.support.library import on_loop, some_pairs, truth

USERS = [{"username": "ann", "password": "open-sesame"}]


async def both(first: Settings, second: Settings) -> None:
    pairs = some_pairs(60)

    async def one(settings: Settings, part: list[tuple[int, int]]) -> None:
        async with BulkWriter(settings) as writer:
            await writer.write_all(part)

    await asyncio.gather(one(first, pairs[:30]), one(second, pairs[30:]))


def test_two_writers_share_one_sign_in_that_the_first_of_them_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with stub(users=USERS) as server:
        how = {"base_url": server.base_url, "stored_sign_in": True, "late_apply_s": 0.2, "list_lag_s": 0.1}
        settings = [
            Settings(username="ann", password="open-sesame", journal=tmp_path / str(i), **how)  # type: ignore[arg-type]
            for i in range(2)
        ]
        on_loop(lambda: both(*settings), server=server)
        assert truth(server) == (60, 0)
        assert server.truth()["operations"]["token"] == 1
        kept = json.loads(SignInFile.of(server.base_url, None).path.read_text())
        assert (kept["username"], kept["base_url"]) == ("ann", server.base_url)


def test_a_fixed_token_beside_it_is_refused() -> None:
    with pytest.raises(UsageError, match="stored_sign_in and a fixed token cannot go together"):
        Settings(stored_sign_in=True, token_file="t")
