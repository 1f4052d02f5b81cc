"""Addresses of databases, jobs and parts: what they mean to libpq, and that a password is never shown."""

from __future__ import annotations

import pytest

from bulkwriter.errors import UsageError
from bulkwriter.postgres.address import Address, is_postgres, refuse_password

SECRET = "canary-password-8c1f"


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("postgresql://u@h/d", {"user": "u", "host": "h", "port": "", "dbname": "d"}),
        ("postgres://h:5433/d", {"host": "h", "port": "5433", "dbname": "d"}),
        ("postgresql:///d?host=/run/pg&port=5433", {"host": "/run/pg", "port": "5433", "dbname": "d"}),
        ("postgresql://a:1,b/d", {"host": "a,b", "port": "1,", "dbname": "d"}),
        ("postgresql://[::1]:5433/d", {"host": "::1", "port": "5433", "dbname": "d"}),
        ("postgresql://[::1]/d", {"host": "::1", "dbname": "d"}),
        ("postgresql://%2Frun%2Fpg/d", {"host": "/run/pg", "dbname": "d"}),
        ("postgresql://u%40x:p%2F%40@h/d%20e", {"user": "u@x", "password": "p/@", "host": "h", "dbname": "d e"}),
        ("postgresql:///?service=s", {"service": "s"}),
        ("postgresql:///d?sslmode=allow&password=p", {"dbname": "d", "sslmode": "allow", "password": "p"}),
        ("postgresql://h/d/job/part-7", {"host": "h", "dbname": "d"}),
    ],
)  # fmt: skip
def test_libpq_is_told_what_the_url_says(text: str, parameters: dict[str, str]) -> None:
    assert is_postgres(text)
    address = Address.parse(text)
    assert address.parameters() == {key: value for key, value in parameters.items() if value.strip(",")}
    if not address.secrets:
        assert Address.parse(address.shown) == address


def test_a_job_and_a_part_stand_behind_the_database() -> None:
    address = Address.parse("postgresql://h/d/night.2026/03")
    assert (address.database, address.job, address.part) == ("d", "night.2026", "03")
    assert address.of_database == Address.parse("postgresql://h/d")
    assert address.of_database.with_job("j", "p").shown == "postgresql://h/d/j/p"


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://u:{SECRET}@h/d", f"postgresql://u@h/d/job?password={SECRET}&sslmode=require",
        f"postgresql://u@h/d?sslpassword={SECRET}", f"postgresql://:{SECRET}@/d?host=/run/pg",
    ],
)  # fmt: skip
def test_a_password_is_never_shown_and_stands_in_no_command_line(text: str) -> None:
    address = Address.parse(text)
    assert SECRET in address.parameters().values()
    assert SECRET not in f"{address} {address!r} {address.shown} {[address]}"
    assert SECRET in address.of_database.with_job("other").parameters().values()
    with pytest.raises(UsageError, match="others can read with ps") as refused:
        refuse_password(address)
    assert SECRET not in str(refused.value)
    refuse_password(Address.parse(address.shown))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("postgresql://h", "names no database"),
        ("postgresql://h/", "names no database"),
        ("postgresql://h:0/d", "'0' is no port"),
        ("postgresql://h:nine/d", "'nine' is no port"),
        ("postgresql://h/d/j/p/x", "more names than"),
        ("postgresql://h/d//p", "a part and no job"),
        ("postgresql://h/d/a%20b", "'a b' is no name"),
        ("postgresql://h/d/..", "'..' is no name"),
        ("postgresql://h/d/" + "j" * 65, "is no name"),
        ("postgresql://h/d\n", "control character"),
    ],
)
def test_what_cannot_be_an_address_is_refused(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        Address.parse(text)


@pytest.mark.parametrize(
    "text", [f"postgresql://u:{SECRET}@h", f"postgresql://u:{SECRET}@h:x/d", f"postgresql://u:{SECRET}@h/d/ä"]
)
def test_a_refusal_shows_no_password(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        Address.parse(text)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("text", ["/var/lib/ledger", "ledger", "postgresql", "http://h/d", "postgresql:/h/d"])
def test_a_path_is_no_address(text: str) -> None:
    assert not is_postgres(text)
