"""The ways to give a token: as text, by a function, in a file; what cannot be one is refused and never shown."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from bulkwriter.clocks import MACHINE
from bulkwriter.core.classify import judge_call
from bulkwriter.errors import BulkwriterError, ConfigurationStop, TryLater, UsageError
from bulkwriter.model import Reply
from bulkwriter.net.auth import (
    CalledToken,
    FileToken,
    FixedToken,
    Token,
    TokenSource,
    password_of,
    token_source,
    totp_of,
)
from bulkwriter.settings import Settings

from ..conftest import CANARY
from ..support.token_fakes import all_words


async def never_request(data: bytes, *, deadline_s: float) -> Reply:
    raise AssertionError("a request was made")


def made(settings: Settings) -> TokenSource:
    return token_source(
        settings,
        request=never_request,
        token_request=lambda form, _: b"",
        judge=judge_call,
        role="Thing-Create",
        clocks=MACHINE,
    )


async def test_a_fixed_token_has_no_other() -> None:
    source = made(Settings(token=CANARY))
    assert await source.current() == Token(CANARY, 0)
    with pytest.raises(ConfigurationStop, match="refused \\(401\\)") as stop:
        await source.refresh(0)
    assert "Thing-Create" in stop.value.hint
    assert CANARY not in all_words(stop.value)
    assert CANARY not in repr(await source.current())


@pytest.mark.parametrize("junk", [" ", "\r\n", "\n", "é", "\x00", "\u2028"])
def test_a_token_that_cannot_stand_in_a_header_is_refused_unshown(junk: str) -> None:
    with pytest.raises(UsageError) as error:
        made(Settings(token=f"{CANARY}{junk}x"))
    assert CANARY not in all_words(error.value)


def test_no_token_names_the_ways_to_give_one() -> None:
    with pytest.raises(UsageError, match="no token") as error:
        made(Settings())
    for way in ("BULKWRITER_TOKEN", "--token-file", "--username", "--password-file"):
        assert way in error.value.hint.typed


def test_a_user_name_needs_a_password() -> None:
    with pytest.raises(UsageError, match="no password for ann"):
        made(Settings(username="ann"))


def test_a_token_goes_before_a_file_and_a_file_before_a_user_name(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("abc")
    supply = made(Settings(token=CANARY, token_file=path, username="ann")).supply
    assert isinstance(supply, FixedToken)
    assert isinstance(made(Settings(token_file=path, username="ann")).supply, FileToken)


@pytest.mark.parametrize("content", [f"{CANARY}\n", f"\ufeff  {CANARY} \r\nsecond line\n", CANARY])
async def test_a_file_gives_its_first_line_and_its_new_one_later(tmp_path: Path, content: str) -> None:
    path = tmp_path / "token"
    path.write_text(content, encoding="utf-8")
    source = made(Settings(token_file=path))
    assert (await source.current()).value == CANARY
    path.write_text("another\n")
    assert (await source.current()).value == CANARY  # read again only when the server refuses it
    assert await source.refresh(0) == Token("another", 1)
    with pytest.raises(ConfigurationStop, match="refused \\(401\\)") as stop:
        await source.refresh(1)
    assert str(path) in stop.value.message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        ("", "empty"),
        ("\n abc", "empty"),
        (b"\xff\xfe" + CANARY.encode(), "not text"),
        (f"Bearer {CANARY}", "space"),
    ],
)
def test_an_unusable_file_is_named_and_not_shown(tmp_path: Path, content: str | bytes | None, words: str) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError, match=words) as error:
        made(Settings(token_file=path))
    assert CANARY not in all_words(error.value)
    assert str(path) in error.value.message or words == "space"


async def test_a_file_that_vanished_or_broke_is_a_stop(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(CANARY)
    source = made(Settings(token_file=path))
    await source.current()
    for content in (None, "", "a b"):
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_text(content)
        with pytest.raises(ConfigurationStop, match="refused \\(401\\)"):
            await source.refresh(0)


async def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "token-pipe"
    os.mkfifo(path)
    end = os.open(path, os.O_RDWR)  # both ends, so that opening does not wait
    os.write(end, f"{CANARY}\n".encode())
    source = made(Settings(token_file=path))
    os.close(end)
    assert (await source.current()).value == CANARY
    with pytest.raises(ConfigurationStop):
        await asyncio.wait_for(source.refresh(0), 5)


def test_a_password_file_is_read_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the password cannot be read"):
        made(Settings(username="ann", password_file=tmp_path / "password"))


@pytest.mark.parametrize("password", [" pass word ", "\u00a0nbsp\u00a0", "\ttab", "plain"])
@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\nanother line\n"])
def test_a_password_keeps_its_blanks(tmp_path: Path, password: str, end: str) -> None:
    path = tmp_path / "password"
    path.write_text(f"{password}{end}", encoding="utf-8-sig", newline="")
    assert password_of(Settings(username="ann", password_file=path)) == password


def test_bytes_that_are_no_text_are_told_and_not_shown() -> None:
    for given in ({"username": "ann", "password": f"{CANARY}\udcff"}, {"username": f"{CANARY}\udcff", "password": "p"}):
        with pytest.raises(UsageError, match="is not text") as error:
            made(Settings(**given))  # type: ignore[arg-type]
        assert CANARY not in all_words(error.value)
    assert made(Settings(username="ännchen", password="pässword"))


def test_a_file_of_blanks_holds_no_password(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(" \n")
    with pytest.raises(UsageError, match="is empty"):
        password_of(Settings(username="ann", password_file=tmp_path / "password"))


def test_a_token_and_a_code_hold_no_blanks(tmp_path: Path) -> None:
    (tmp_path / "code").write_text(" 123456 \n")
    code = totp_of(Settings(username="ann", password="p", totp_file=tmp_path / "code"))
    assert code is not None
    assert code() == "123456"


async def test_a_function_is_asked_for_each_token_and_must_have_another() -> None:
    values = iter(["one", "two", "two"])

    async def give() -> str:
        return next(values)

    source = made(Settings(token=give))
    assert await source.current() == Token("one", 0)
    assert await source.refresh(0) == Token("two", 1)
    with pytest.raises(ConfigurationStop, match="gave the same one again"):
        await source.refresh(1)


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (ValueError(CANARY), ConfigurationStop),
        (ConnectionError(CANARY), TryLater),
        (TimeoutError(CANARY), TryLater),
        (UsageError("mine"), UsageError),
    ],
)
async def test_a_function_that_fails_is_told_by_kind_only(raised: Exception, kind: type[BulkwriterError]) -> None:
    async def give() -> str:
        raise raised

    with pytest.raises(kind) as error:
        await made(Settings(token=give)).current()
    assert CANARY not in all_words(error.value)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "answered with NoneType, not with text"),
        (7, "answered with int"),
        (b"abc", "answered with bytes"),
        ("", "the token is empty"),
        (f"{CANARY}\n", "the token has a line end"),
        (f"{CANARY}\r\n", "the token has a line end"),
        (f"{CANARY} x", "the token has a space"),
        (f"{CANARY}\u00a0", "the token has a space"),
        (f"{CANARY}é", "the token has a character that no token has"),
        (f"{CANARY}\0", "the token has a character that no token has"),
        (CANARY * 2_000, "the token is longer than 16,384 characters"),
    ],
)
async def test_a_function_that_gives_no_token_is_a_usage_error_to_all_who_ask(answer: object, words: str) -> None:
    """The second of two was told that the server had refused the token, and nothing had been sent."""
    asked = 0

    async def give() -> object:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        return answer

    source = TokenSource(CalledToken(give, "R", deadline_s=90))  # type: ignore[arg-type]
    for times in (1, 2):
        errors = await asyncio.gather(source.current(), source.current(), return_exceptions=True)
        for error in errors:
            assert isinstance(error, UsageError)
            assert words in error.message
            assert CANARY not in all_words(error)
        assert asked == times


async def test_a_function_that_never_answers_is_told_and_asked_again() -> None:
    """Whoever waited for its token waited for ever, and the writer took itself for well."""
    asked = 0

    async def give() -> str:
        nonlocal asked
        asked += 1
        if asked == 1:
            await asyncio.Event().wait()
        return CANARY

    source = made(Settings(token=give, timeout_s=0.05))
    with pytest.raises(TryLater, match=r"no token: the function that gives it has not answered for 0\.05 s"):
        await source.current()
    assert await source.current() == Token(CANARY, 0)


async def test_a_function_that_is_cancelled_by_somebody_else_is_told() -> None:
    """Else whoever waits for the token waits for ever: a task that ends so says nothing."""

    async def give() -> str:
        raise asyncio.CancelledError

    source = made(Settings(token=give))
    with pytest.raises(TryLater, match="the function that gives it was cancelled"):
        await source.current()
    waiting = asyncio.create_task(source.current())
    waiting.cancel()  # but its own cancel is one
    await asyncio.wait([waiting])
    assert waiting.cancelled()
