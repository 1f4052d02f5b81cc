"""Tokens of a stored sign-in: shared, renewed by one for all, and never a failure that nobody deserves.

The file is real, the server is the stub's grants, and time is virtual.  A `Process` is one run that uses the sign-in.
A kill is an exception that nothing catches, raised at one of the steps between a run, the server and the file.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import random
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import orjson
import pytest

from bulkwriter.core.classify import judge_call
from bulkwriter.errors import ConfigurationStop, TryLater
from bulkwriter.model import Fault, Reply
from bulkwriter.net.auth import TokenSource
from bulkwriter.net.signin import Login, Supply, TokenEndpoint
from bulkwriter.net.stored_token import Fallbacks, HeldStore, StoredToken
from bulkwriter.store.sign_in_file import SignInFile
from bulkwriter.stored_sign_in import StoredSignIn
from bulkwriter.stub.tokens import FORM, TokenStore, User

from ..support.token_fakes import all_words, encode

URL = "https://api.example"
LIFE_S = 1_000.0
BEGAN = 1_800_000_000.0
PASSWORD = "open-sesame"
POLL_S = 125.0


class Killed(BaseException):
    """The process ends here and now."""


class World:
    """A server, a file and a clock.  `kill_at`: which of the steps kills the process that takes it."""

    def __init__(self, folder: Path, *, kill_at: int = -1) -> None:
        self.now = BEGAN
        self.file = SignInFile(folder / "sign-ins", URL, None)
        users = [User(username="ann", password=PASSWORD)]
        self.server = TokenStore({}, users, token_life_s=LIFE_S, refresh_life_s=15 * LIFE_S, rng=random.Random(1))
        self.forms: list[dict[str, str]] = []
        self.client_ids: set[str] = set()
        self.script: list[Reply] = []
        self.steps, self._kill_at = 0, kill_at

    def step(self) -> None:
        self.steps += 1
        if self.steps == self._kill_at:
            raise Killed

    async def request(self, data: bytes, *, deadline_s: float) -> Reply:
        self.step()
        client_id, _, form = data.decode().partition("\n")
        self.forms.append(dict(parse_qsl(form)))
        self.client_ids.add(client_id)
        await asyncio.sleep(0)
        if self.script:
            return self.script.pop(0)
        status, answer = self.server.exchange(FORM, form.encode(), client_id=client_id, now=self.now)
        self.step()
        await asyncio.sleep(0)
        self.step()
        return Reply(status, orjson.dumps(answer))

    def allows(self, token: str) -> bool:
        return self.server.allows(f"Bearer {token}".encode(), "CourseCompletedLesson-Create", self.now)

    @property
    def grant_types(self) -> list[str]:
        return [form["grant_type"] for form in self.forms]

    def sign_in(self, **change: Any) -> StoredSignIn:
        """What `login` would store."""
        form = {"grant_type": "password", "username": "ann", "password": PASSWORD}
        said = self.server.exchange(FORM, encode(form, None).partition(b"\n")[2], client_id="mine", now=self.now)[1]
        made = StoredSignIn(
            base_url=URL, account="", username="ann", client_id="mine", obtained_at=self.now,
            expires_at=self.now + LIFE_S, access_token=said["access_token"], refresh_token=said["refresh_token"],
        )  # fmt: skip
        made = dataclasses.replace(made, **change)
        self.store(made)
        return made

    def store(self, sign_in: StoredSignIn) -> None:
        held = self.file.hold()
        assert held is not None
        held.save(sign_in)
        held.release()


class Watched:
    """The file, each of whose writes is a step before and after."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.path, self.server, self.load = world.file.path, world.file.server, world.file.load

    def hold(self) -> HeldStore | None:
        held = self._world.file.hold()
        return WatchedHeld(held, self._world) if held else None


class WatchedHeld:
    def __init__(self, held: HeldStore, world: World) -> None:
        self._held, self._world = held, world
        self.release = held.release

    def reserve(self) -> None:
        self._world.step()
        self._held.reserve()
        self._world.step()

    def save(self, sign_in: StoredSignIn, /) -> None:
        self._world.step()
        self._held.save(sign_in)
        self._world.step()


class Process:
    """A run that uses the stored sign-in."""

    def __init__(
        self,
        world: World,
        *,
        password: str = "",
        call: Supply | None = None,
        has_room: bool = True,
        deadline_s: float = 10_000.0,
    ) -> None:
        self.notes: list[str] = []
        self.pauses: list[float] = []
        endpoint = TokenEndpoint(
            request=world.request,
            token_request=encode,
            judge=judge_call,
            client_id="not used",
            deadline_s=deadline_s,
            longest_wait_s=60.0,
            give_up_after_s=3_600.0,
            rng=random.Random(2),
            sleep=self.sleep,
            wall=lambda: world.now,
            clock=lambda: world.now + sum(self.pauses),
        )
        fallbacks = Fallbacks(login=Login("ann", password) if password else None, call=call)
        self.supply = StoredToken(
            Watched(world), endpoint, fallbacks, tell=self.notes.append, has_room=lambda: has_room
        )
        self.source = TokenSource(self.supply, clock=lambda: world.now)

    async def sleep(self, pause_s: float) -> None:
        self.pauses.append(pause_s)
        await asyncio.sleep(0)

    async def token(self, world: World) -> str:
        """A token that the server takes; asked for again, once, where it does not."""
        token = await self.source.current()
        if not world.allows(token.value):
            token = await self.source.refresh(token.generation)
            assert world.allows(token.value), "a fresh token was refused"
        return token.value


@pytest.fixture(autouse=True)
def fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Durability is what `store/test_sign_in_file.py` and the campaign look at; here thousands of writes would wait."""
    monkeypatch.setattr("os.fsync", lambda fd: None)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def live(world: World, processes: list[Process], until: float, *, password: str = "") -> None:
    """Every process asks for a token every `POLL_S`; one that is killed starts again a moment later."""
    while world.now < until:
        for i, ended in enumerate(await asyncio.gather(*(p.token(world) for p in processes), return_exceptions=True)):
            if isinstance(ended, Killed):
                processes[i] = Process(world, password=password)
            elif isinstance(ended, BaseException):
                raise ended
        world.now += POLL_S


async def test_two_runs_share_it_over_three_lives(world: World) -> None:
    world.sign_in()
    runs = [Process(world), Process(world)]
    await live(world, runs, BEGAN + 3 * LIFE_S)
    assert world.grant_types == ["refresh_token"] * 5  # at half of each life, once for both
    assert world.client_ids == {"mine"}
    assert [run.notes for run in runs] == [[], []]


@pytest.mark.slow
@pytest.mark.parametrize(("password", "kills"), [(PASSWORD, 50), ("", 21)], ids=["with-password", "without"])
async def test_killed_at_any_step_of_a_refresh_nobody_fails_undeservedly(
    tmp_path: Path, password: str, kills: int
) -> None:
    """With a password file nobody fails at all.  Without one the token is good for the other half of its life, a note
    has named the date before, and then the error names `login`.
    """
    lost = 0
    for n in range(1, kills + 1):
        world = World(tmp_path / str(n), kill_at=n)
        world.sign_in()
        runs = [Process(world, password=password), Process(world, password=password)]
        try:
            await live(world, runs, BEGAN + 4.2 * LIFE_S, password=password)
        except ConfigurationStop as stop:
            lost += 1
            assert not password, stop  # noqa: PT017 most kills end in no error
            assert "bulkwriter login --base-url https://api.example" in stop.hint.typed  # noqa: PT017
            told = [note for run in runs for note in run.notes]
            assert any("cannot be renewed" in note and "The token is good until 20" in note for note in told)
            stored = world.file.load()
            assert stored is not None
            assert world.now >= (stored.expires_at or 0), "it failed while the token was good"
        assert world.steps >= n, "nothing was killed: there are fewer steps"
    assert (lost > 0) is (password == ""), "some kills lose the refresh token, else this shows nothing"


async def test_a_refresh_token_is_spent_once_however_many_ask(world: World) -> None:
    world.sign_in()
    runs = [Process(world) for _ in range(8)]
    for run in runs:
        await run.token(world)
    world.now += LIFE_S + 1  # for every one of them it has expired
    tokens = await asyncio.gather(*(run.token(world) for run in runs))
    assert len(set(tokens)) == 1
    assert world.grant_types == ["refresh_token"]


async def test_nobody_waits_for_a_renewal_while_the_token_is_good(world: World) -> None:
    stored, run = world.sign_in(), Process(world)
    world.now += 0.6 * LIFE_S
    held = world.file.hold()
    assert held is not None
    assert await run.token(world) == stored.access_token
    assert (world.forms, run.pauses) == ([], [])
    world.now += LIFE_S
    with pytest.raises(TryLater, match=r"another process has been renewing .* for 5 s"):
        await Process(world, deadline_s=5.0).token(world)
    held.release()
    assert await run.token(world) != stored.access_token


async def test_nor_for_a_quota_without_room(world: World) -> None:
    stored, run = world.sign_in(), Process(world, has_room=False)
    world.now += 0.6 * LIFE_S
    assert await run.token(world) == stored.access_token
    assert world.forms == []
    world.now += LIFE_S
    assert await run.token(world) != stored.access_token


@pytest.mark.parametrize("reply", [Reply(502), Reply(0, fault=Fault.LOST), Reply(403, b"<html>"), Reply(404)])
async def test_a_renewal_that_fails_does_no_harm_while_the_token_is_good(world: World, reply: Reply) -> None:
    stored, run = world.sign_in(), Process(world)
    world.now += 0.6 * LIFE_S
    world.script = [reply] * 5
    assert await run.token(world) == stored.access_token
    assert run.notes[0].startswith("the stored sign-in was not renewed: ")
    assert "bulkwriter login --base-url https://api.example" in run.notes[0]
    world.script, world.now = [], world.now + 61
    assert await run.token(world) != stored.access_token


async def test_an_expired_one_with_the_server_gone_is_try_later(world: World) -> None:
    world.sign_in()
    world.now += 2 * LIFE_S
    world.script = [Reply(502)] * 5
    with pytest.raises(TryLater):
        await Process(world).token(world)
    assert await Process(world).token(world)


async def test_a_password_is_tried_once_and_never_again_when_it_is_refused(world: World) -> None:
    stored, run = world.sign_in(refresh_token="spent"), Process(world, password="wrong-word")
    world.now += 0.6 * LIFE_S
    for _ in range(50):
        assert await run.token(world) == stored.access_token
        world.now += 5
    assert world.grant_types == ["refresh_token", "password"]
    assert "wrong-word" not in str(run.notes)
    world.now += LIFE_S
    with pytest.raises(ConfigurationStop) as stop:
        await run.token(world)
    assert "wrong-word" not in all_words(stop.value)
    assert world.grant_types == ["refresh_token", "password"]


async def test_a_password_is_of_its_own_user_alone(world: World) -> None:
    world.sign_in(refresh_token="spent", username="bea")
    run = Process(world, password=PASSWORD)
    world.now += 0.6 * LIFE_S
    await run.token(world)
    assert world.grant_types == ["refresh_token"]


class Command:
    """A token_command, or a function of the library's caller."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.asked: list[tuple[bool, bool]] = []

    async def __call__(self, *, is_first: bool, is_refused: bool = False) -> tuple[str, float]:
        self.asked.append((is_first, is_refused))
        form = {"grant_type": "password", "username": "ann", "password": PASSWORD}
        body = encode(form, None).partition(b"\n")[2]
        return self._world.server.exchange(FORM, body, client_id="vault", now=self._world.now)[1]["access_token"], 1e9


async def test_a_token_command_takes_over_when_the_token_has_expired(world: World) -> None:
    stored, command = world.sign_in(refresh_token="spent"), Command(world)
    run = Process(world, call=command)
    world.now += 0.6 * LIFE_S
    assert await run.token(world) == stored.access_token
    assert command.asked == []
    world.now += LIFE_S
    assert await run.token(world) != stored.access_token
    world.now += LIFE_S
    assert await run.token(world)
    assert command.asked == [(True, False), (False, True)]
    assert run.notes == []


async def test_a_new_login_is_found_by_a_run_at_work(world: World) -> None:
    world.sign_in(refresh_token="spent")
    run = Process(world)
    world.now += 0.6 * LIFE_S
    await run.token(world)
    assert "cannot be renewed" in run.notes[0]
    anew = world.sign_in()
    world.now += 0.41 * LIFE_S
    assert await run.token(world) == anew.access_token
    assert world.grant_types == ["refresh_token"]


async def test_a_token_that_was_taken_back_is_refreshed(world: World) -> None:
    stored, run = world.sign_in(), Process(world)
    await run.token(world)
    world.server.by_header.clear()
    assert await run.token(world) != stored.access_token
    assert world.grant_types == ["refresh_token"]


async def test_after_a_logout_there_is_none(world: World) -> None:
    world.sign_in()
    world.file.path.unlink()
    with pytest.raises(ConfigurationStop, match="there is no stored sign-in") as stop:
        await Process(world).token(world)
    assert "bulkwriter login" in stop.value.hint


async def test_the_first_of_a_service_signs_in_for_all(world: World) -> None:
    runs = [Process(world, password=PASSWORD) for _ in range(3)]
    tokens = await asyncio.gather(*(run.token(world) for run in runs))
    assert len(set(tokens)) == 1
    assert world.grant_types == ["password"]


async def test_a_sign_in_anew_keeps_the_client_id(world: World) -> None:
    world.sign_in()
    made = await Process(world, password=PASSWORD).supply.sign_in_anew()
    assert (made.client_id, world.client_ids) == ("mine", {"mine"})
    world.file.path.write_text("damaged")
    made = await Process(world, password=PASSWORD).supply.sign_in_anew()
    assert made.client_id.startswith("bulkwriter-")
    assert world.file.load() == made


async def test_a_refused_sign_in_leaves_the_stored_one(world: World) -> None:
    stored = world.sign_in()
    with pytest.raises(ConfigurationStop, match="refused"):
        await Process(world, password="wrong-word").supply.sign_in_anew()
    assert world.file.load() == stored


async def test_what_could_not_be_saved_is_kept_in_memory_and_saved_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, run = world.sign_in(), Process(world)
    world.now += 0.6 * LIFE_S
    save = WatchedHeld.save

    def full(self: WatchedHeld, sign_in: StoredSignIn, /) -> None:
        raise ConfigurationStop("the disk is full")

    monkeypatch.setattr(WatchedHeld, "save", full)
    new = await run.token(world)
    assert new != stored.access_token
    assert "the disk is full; this process keeps the new one in memory and tries again" in run.notes[0]
    monkeypatch.setattr(WatchedHeld, "save", save)
    world.now += 61
    assert await run.token(world) == new
    kept = world.file.load()
    assert kept is not None
    assert kept.access_token == new
    assert world.grant_types == ["refresh_token"]


async def test_a_cancelled_renewal_waits_for_its_answer(world: World) -> None:
    world.sign_in()
    world.now += 2 * LIFE_S
    asking = asyncio.ensure_future(Process(world).source.current())
    while not world.forms:
        await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    kept = world.file.load()
    assert kept is not None
    assert kept.obtained_at == world.now


async def test_one_that_never_answers_is_cut_after_a_moment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.sign_in()
    world.now += 2 * LIFE_S
    is_asked = asyncio.Event()

    async def silent(data: bytes, *, deadline_s: float) -> Reply:
        is_asked.set()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    monkeypatch.setattr("bulkwriter.net.stored_token.GRACE_S", 0.01)
    monkeypatch.setattr(world, "request", silent)
    asking = asyncio.ensure_future(Process(world).source.current())
    await is_asked.wait()
    for _ in range(3):  # an impatient one
        asking.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await asking
    with contextlib.closing(contextlib.ExitStack()) as stack:
        held = world.file.hold()
        assert held is not None, "the lock was not released"
        stack.callback(held.release)
