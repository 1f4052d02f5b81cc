"""What tests of tokens share: a clock by hand, the stub's grants as `/api/token`, and all that an error could show."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

import orjson

from bulkwriter.core.classify import judge_call
from bulkwriter.model import Reply
from bulkwriter.net.signin import Login, SignIn, TokenEndpoint
from bulkwriter.stub.tokens import FORM, TokenStore, User

from ..conftest import CANARY

WALL_S = 1_800_000_000.0


def all_words(error: BaseException) -> str:
    """Everything that an error and those behind it could show."""
    words, behind = "", [error]
    while behind:
        e = behind.pop()
        words += f"{e!s} {e!r} {e.args!r} {e.__dict__!r} {getattr(e, '__notes__', '')}"
        behind += [other for other in (e.__cause__, e.__context__) if other is not None]
    return words


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def encode(form: Mapping[str, str], client_id: str | None) -> bytes:
    """As `net.api.Api.token_request`: the form, behind the header that matters."""
    return f"{client_id}\n{urlencode(form)}".encode()


class Endpoint:
    """`/api/token`: scripted replies first, then the stub's grants.  Keeps the forms, client ids and pauses."""

    def __init__(self, *script: Reply, totp: str = "", life_s: float = 100.0) -> None:
        self.script = list(script)
        self.users = [User(username="ann", password=CANARY, totp=totp)]
        rng = random.Random(1)
        self.grants = TokenStore({}, self.users, token_life_s=life_s, refresh_life_s=1e6, rng=rng)
        self.forms: list[dict[str, str]] = []
        self.client_ids: list[str] = []
        self.pauses: list[float] = []
        self.codes: list[str] = []

    async def request(self, data: bytes, *, deadline_s: float) -> Reply:
        client_id, _, form = data.decode().partition("\n")
        self.client_ids.append(client_id)
        self.forms.append(dict(parse_qsl(form)))
        await asyncio.sleep(0)
        if self.script:
            return self.script.pop(0)
        status, answer = self.grants.exchange(FORM, form.encode(), client_id=client_id, now=0.0)
        return Reply(status, orjson.dumps(answer))

    async def sleep(self, pause_s: float) -> None:
        self.pauses.append(pause_s)

    def sign_in(self, password: str = CANARY, *, with_totp: bool = False) -> SignIn:
        endpoint = TokenEndpoint(
            request=self.request,
            token_request=encode,
            judge=judge_call,
            client_id="mine",
            deadline_s=5.0,
            longest_wait_s=60.0,
            give_up_after_s=3_600.0,
            rng=random.Random(2),
            sleep=self.sleep,
            wall=lambda: WALL_S,
        )
        return SignIn(Login("ann", password, (lambda: self.codes.pop(0)) if with_totp else None), endpoint)

    @property
    def grant_types(self) -> list[str]:
        return [form["grant_type"] for form in self.forms]


def granted(value: str = "abc", **more: Any) -> Reply:
    return Reply(200, orjson.dumps({"access_token": value, "token_type": "bearer", **more}))
