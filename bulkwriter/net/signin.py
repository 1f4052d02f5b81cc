"""Signs in with a password at /api/token, and uses refresh tokens from then on.

    TokenEndpoint  one form in, one answer out; within limits it asks again if the endpoint is busy or does not answer
    sign_in        one sign-in with a password
    SignIn         makes token values: by refresh token, or by password if there is none or it is refused

A refresh token works once, and each answer brings the next one.  If it is spent, cancelled or expired, there is one new
sign-in with the password, and a two-factor code is asked for again.  The client id is our own, since another sign-in
under the same id would cancel our refresh token.

Invariants: no secret is ever part of an error; quotes of the server leave out the secrets that were sent to it.  A
refused login is a `ConfigurationStop` after one request.  An endpoint that is busy or does not answer is asked a few
times, never before its Retry-After, and not beyond `give_up_after_s`; then it is a `TryLater`.

Source: the API's documentation of /api/token; RFC 6749, sections 4.3, 5.2 and 6.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import random
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import quote_plus

from ..amounts import wait_words
from ..clocks import MACHINE
from ..errors import BulkwriterError, ConfigurationStop, TryLater, UsageError
from ..guarded import is_cancelled
from ..model import FATAL_FAULTS, CallVerdict, Fault, Reply
from ..shell import hidden
from ..stored_sign_in import RENEW_SHARE
from .api import BadList, check_header, load

TRIES: Final = 5  # requests for one token; with their pauses they bridge up to 15 s without an answer
FIRST_PAUSE_S: Final = 1.0  # longest pause after the first try; doubled with each
QUOTE_CHARS: Final = 200
TokenRequest = Callable[[Mapping[str, str], str | None], bytes]
"""`token_request(form, client_id)`: the whole request; see `net.api.Api`."""
Judge = Callable[[Reply, float], CallVerdict]
"""`judge(reply, wall_s)`: the meaning of a reply, as for every call; see `core.classify.judge_call`."""


class Supply(Protocol):
    """Makes token values.  `is_first`: none was made before.  `is_refused`: the server refused the last one; without
    that the same one may be returned again.

    Returns the value, and after how many seconds it wants to be asked again; infinity if the server's 401 is to say
    so.  Raises `ConfigurationStop` if there is no other token, `TryLater` if there is none now.
    """

    async def __call__(self, *, is_first: bool, is_refused: bool = False) -> tuple[str, float]: ...


class RequestCall(Protocol):
    """Sends a whole request; a failure is a reply with a fault.  See `net.calls.Calls.request`."""

    async def __call__(self, data: bytes, *, deadline_s: float) -> Reply: ...


class TokenEndpoint(NamedTuple):
    """`/api/token` of one host, asked under one client id.

    `longest_wait_s`: a longer Retry-After is a `TryLater`.  `give_up_after_s`: no request begins later than this after
    the first.
    """

    request: RequestCall
    token_request: TokenRequest
    judge: Judge
    client_id: str
    deadline_s: float
    longest_wait_s: float
    give_up_after_s: float
    rng: random.Random
    sleep: Callable[[float], Awaitable[object]] = MACHINE.sleep
    wall: Callable[[], float] = MACHINE.wall
    clock: Callable[[], float] = MACHINE.clock

    async def ask(self, form: Mapping[str, str], *, has_answered: bool) -> Reply:
        """The endpoint's answer, yes or no.  Raises `TryLater`, or `ConfigurationStop` if a setting must be wrong."""
        data = self.token_request({**form, "client_id": self.client_id}, self.client_id)
        said, until = "", self.clock() + self.give_up_after_s
        for attempt in range(TRIES):
            reply = await self.request(data, deadline_s=self.deadline_s)
            verdict = self.judge(reply, self.wall())
            if not verdict.is_later:
                return reply
            if reply.fault in FATAL_FAULTS and (reply.fault is Fault.TLS or not has_answered):
                raise ConfigurationStop(reply.trouble, hint=FATAL_FAULTS[reply.fault])
            said = reply.trouble
            pause_s = self._pause_s(verdict.retry_after_s or 0.0, attempt)
            if self.clock() + pause_s > until:
                break
            if attempt + 1 < TRIES:
                await self.sleep(pause_s)
        raise TryLater(f"the sign-in got no answer ({said})", hint="the same command later goes on")

    def _pause_s(self, stated_s: float, attempt: int) -> float:
        """The pause that the endpoint states, plus full jitter: uniform in [0, 1 s * 2**attempt], first in [0, 1 s]."""
        if stated_s > self.longest_wait_s:
            raise TryLater(
                f"the sign-in was put off for {wait_words(stated_s)}",
                hint="the same command after that time goes on",
                code="stated_wait",
                retry_at=self.wall() + stated_s,
            )
        return stated_s + self.rng.uniform(0.0, FIRST_PAUSE_S * 2**attempt)


@dataclass(frozen=True, slots=True)
class Login:
    """The login of one user.  `totp` is called for a two-factor code at each sign-in, in a thread: it may ask a
    person.
    """

    username: str
    password: str = field(repr=False)
    totp: Callable[[], str] | None = field(default=None, repr=False)


class TokenGrant(NamedTuple):
    """What the endpoint gave: `life_s` is how long the access token is good, infinity if that is not told."""

    access_token: str
    refresh_token: str
    life_s: float


async def sign_in(login: Login, endpoint: TokenEndpoint, *, has_answered: bool = False) -> TokenGrant:
    """Sign in with the password.  Raises `ConfigurationStop` if it is refused, `TryLater` if there is no answer."""
    form = {"grant_type": "password", "username": login.username, "password": login.password}
    totp = login.totp
    if totp is not None:
        form["totp"] = await obtain(lambda: asyncio.to_thread(totp), "two-factor code")
    answer = await endpoint.ask(form, has_answered=has_answered)
    if grant := granted(answer):
        return grant
    raise refusal(answer, secrets=(login.password, form.get("totp", "")))


def new_client_id() -> str:
    """One that no other client has."""
    return f"bulkwriter-{secrets.token_hex(8)}"


def refresh_form(refresh_token: str) -> dict[str, str]:
    return {"grant_type": "refresh_token", "refresh_token": refresh_token}


def granted(answer: Reply) -> TokenGrant | None:
    """What an answer grants; None without a usable token in it."""
    said = json_object(answer.body) if answer.status == 200 else {}
    value, refresh_token = said.get("access_token"), said.get("refresh_token")
    if not isinstance(value, str) or not is_usable(value):
        return None
    return TokenGrant(value, refresh_token if isinstance(refresh_token, str) else "", life_of(said.get("expires_in")))


class SignIn:
    """Makes token values (see `Supply`): by refresh token while one works, else by password."""

    def __init__(self, login: Login, endpoint: TokenEndpoint) -> None:
        self._login = login
        self._endpoint = endpoint
        self._refresh_token = ""
        self._has_answered = False

    async def __call__(self, *, is_first: bool, is_refused: bool = False) -> tuple[str, float]:
        grant = None
        if refresh_token := self._refresh_token:
            grant = granted(await self._endpoint.ask(refresh_form(refresh_token), has_answered=True))
            self._refresh_token = ""
        grant = grant or await sign_in(self._login, self._endpoint, has_answered=self._has_answered)
        self._has_answered = True
        self._refresh_token = grant.refresh_token
        return grant.access_token, RENEW_SHARE * grant.life_s


async def obtain(call: Callable[[], Awaitable[str]], what: str, *, deadline_s: float | None = None) -> str:
    """Call a function of the caller.  Its failure is told, without what may be a secret, and is the cause of ours.

    It is cancelled after `deadline_s`: who waits for a token that never comes would not be told why.

    A failure with such words is not kept as the cause, since a log would show it whole.
    """
    stop: BulkwriterError
    cause: Exception | None = None
    limit: asyncio.Timeout | None = None
    try:
        made = call()
        if not inspect.isawaitable(made):
            raise UsageError(f"the function that gives the {what} is not async", hint="write it as `async def`")
        async with asyncio.timeout(deadline_s) as limit:
            return await made
    except BulkwriterError:
        raise
    except OSError as e:  # also a timeout, and aiohttp's failures to connect
        words, cause = told(e)
        if limit is not None and limit.expired():
            words = f"the function that gives it has not answered for {deadline_s:g} s"
        stop = TryLater(f"no {what}: {words}", hint="the same command later goes on")
    except Exception as e:
        words, cause = told(e)
        stop = ConfigurationStop(f"no {what}: {words}", hint=f"the function that gives the {what} raised it")
    except asyncio.CancelledError:
        if is_cancelled():
            raise
        stop = TryLater(f"no {what}: the function that gives it was cancelled", hint="the same command later goes on")
    raise stop from cause  # out here, so that the failure is not its context


def told(error: Exception) -> tuple[str, Exception | None]:
    """What a function of the caller raised, in words, and the error itself if it surely quotes no secret."""
    said = " ".join(str(error).split())[:QUOTE_CHARS]
    clean = hidden(said)
    words = f"{type(error).__name__}: {clean}" if clean else type(error).__name__
    return words, error if clean == said and len(str(error)) <= QUOTE_CHARS else None


def refusal(answer: Reply, *, secrets: tuple[str, ...]) -> ConfigurationStop:
    """The stop after an answer without a token for a password."""
    if answer.status in (400, 401):
        words = json_object(answer.body)
        said = words.get("error_description") or words.get("error")
        quote = f": {without(secrets, said).rstrip('.')}" if isinstance(said, str) else ""
        return ConfigurationStop(
            f"the sign-in was refused (HTTP {answer.status}){quote}",
            hint="check user name, password and, where the account uses it, the two-factor code",
            code="token",
        )
    what = "without a usable token" if answer.status == 200 else f"with HTTP {answer.status}"
    return ConfigurationStop(f"the sign-in was answered {what}", hint="check --base-url: is it the API's own address?")


def without(secrets: tuple[str, ...], text: str) -> str:
    """`text` on one line and cut, without the secrets, plain or as they stand in a form."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "[removed]").replace(quote_plus(secret), "[removed]")
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= QUOTE_CHARS else line[: QUOTE_CHARS - 1] + "…"


def is_usable(value: str) -> bool:
    """Whether a token can stand in a header."""
    try:
        check_header(value, "token")
    except UsageError:
        return False
    return True


def life_of(expires_in: Any) -> float:
    """Seconds for which a token is good; infinity if that is not told, since a 401 will say so in time."""
    try:
        life_s = math.inf if isinstance(expires_in, bool) else float(expires_in)
    except (TypeError, ValueError, OverflowError):
        return math.inf
    return life_s if life_s > 0 else math.inf


def json_object(body: bytes) -> dict[str, Any]:
    try:
        answer = load(body)
    except BadList:
        return {}
    return answer if isinstance(answer, dict) else {}
