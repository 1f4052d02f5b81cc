"""Settings are checked once, where they are made: what cannot be right is a `UsageError` that names the setting."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from bulkwriter.errors import UsageError
from bulkwriter.settings import Limits, Settings, type_of
from tests.conftest import CANARY


def made(of: Any = Settings, **given: Any) -> Any:
    """Without a type checker's help, as many callers are."""
    return of(**given)


BOUNDED = [(of, f) for of in (Settings, Limits) for f in dataclasses.fields(of) if "low" in f.metadata]


@pytest.mark.parametrize(("of", "field"), BOUNDED, ids=[f.name for _, f in BOUNDED])
def test_a_number_is_taken_at_its_bounds_and_not_beyond(
    of: type[Settings | Limits], field: dataclasses.Field[Any]
) -> None:
    low, high = field.metadata["low"], field.metadata["high"]
    for value in (low, high):
        assert getattr(made(of, **{field.name: value}), field.name) == value
    for value in (low - 1, high + 1, float("nan"), str(low), True):
        with pytest.raises(UsageError, match=field.name):
            made(of, **{field.name: value})


def test_bounds_are_told_as_people_write_them() -> None:
    with pytest.raises(UsageError, match=r"rate = 0 is not between 0\.0001 and 1,000,000 a second"):
        made(rate=0)


@pytest.mark.parametrize("field", dataclasses.fields(Settings), ids=lambda f: f.name)
def test_every_setting_has_a_reason_and_refuses_another_type(field: dataclasses.Field[Any]) -> None:
    assert field.metadata["why"]
    with pytest.raises(UsageError, match=field.name):
        made(**{field.name: object()})
    if "None" not in type_of(field):
        with pytest.raises(UsageError, match=field.name):
            made(**{field.name: None})


@pytest.mark.parametrize(
    "given",
    [
        {"existing": "maybe"},
        {"on_quota": "go"},
        {"quota": "write:5/min"},
        {"quota": (5,)},
        {"limits": 5},
        {"strict": 1},
    ],
)
def test_what_is_none_of_its_words_or_kinds_is_named(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(given))):
        made(**given)


def test_a_secret_of_the_wrong_type_is_not_shown_nor_one_of_the_right() -> None:
    for name in ("token", "password", "proxy"):
        with pytest.raises(UsageError) as error:
            made(**{name: CANARY.encode()})
        assert CANARY not in str(error.value) + repr(made(**{name: f"http://user:{CANARY}@proxy.example"}))


@pytest.mark.parametrize(
    "url", ["https://user:{}/x@host", "https://user:{}@h\N{FULLWIDTH SOLIDUS}ost", "https://u:{}@[:"]
)
def test_a_password_in_a_broken_base_url_is_not_shown(url: str) -> None:
    with pytest.raises(UsageError, match="base URL") as error:
        made(base_url=url.format(CANARY))
    assert CANARY not in str(error.value)


async def token() -> str:
    return CANARY


def test_what_callers_write_is_taken() -> None:
    settings = made(token=token, totp=lambda: "1", journal="j", ledger=Path("l"), quota=["none"])
    assert (settings.journal, settings.ledger) == (Path("j"), Path("l"))


@pytest.mark.parametrize(
    "url",
    [
        "https://spaces.nexudus.com",
        "https://h:8443/prefix/",
        "http://localhost",
        "http://[::1]:8765",
        "HTTP://127.0.0.1",
        "http://127.8.9.1:80",
    ],
)
def test_an_address_that_keeps_the_token_secret(url: str) -> None:
    Settings(base_url=url)


@pytest.mark.parametrize(
    "url",
    [
        "", "spaces.nexudus.com", "ftp://h", "https://", "https://h:99999", "https://h:x", "https://u:p@h", "https://h?a=1",
        "https://h#a", "http://example.com", "http://128.0.0.1", "http://0.0.0.0", "http://localhost.example.com",
        "http://127.0.0.1.example.com", "https://h/a\nb", "https://h\t",
    ],
)  # fmt: skip
def test_any_other_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        Settings(base_url=url)


@pytest.mark.parametrize("url", ["https://me:S3cret@host:x", "me:S3cret@host", "https://me:S3cret@host"])
def test_a_password_in_the_base_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageError) as refused:
        Settings(base_url=url)
    assert "S3cret" not in f"{refused.value} {refused.value.hint}"
