"""How e-mails, names and titles are compared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkwriter.resolve.normal import email_key, is_email, title_key


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("Ann@X.com", " ann@x.COM\t", True),
        ("ann@x.com\u00a0", "ann@x.com", True),
        ("a.nn@x.com", "ann@x.com", False),
        ("ann+1@x.com", "ann@x.com", False),
        ("", "ann@x.com", False),
    ],
)
def test_emails_are_compared_without_case_and_outer_blanks(one: str, other: str, is_same: bool) -> None:
    assert (email_key(one) == email_key(other)) is is_same


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("Ann Lee", "ANN  lee ", True),
        ("Zo\u0065\u0308", "Zoë", True),  # decomposed and composed
        ("Straße", "STRASSE", True),
        ("Ａｎｎ", "Ann", True),  # full-width letters
        ("Ann\u00a0Lee", "Ann Lee", True),
        ("Ann Leé", "Ann Lee", False),
        ("Safety 1", "Safety 11", False),
    ],
)
def test_titles_are_compared_after_nfkc_and_casefold(one: str, other: str, is_same: bool) -> None:
    assert (title_key(one) == title_key(other)) is is_same


@given(st.text(max_size=20))
def test_a_keys_key_is_the_key(text: str) -> None:
    assert title_key(title_key(text)) == title_key(text)
    assert email_key(email_key(text)).strip() == email_key(text)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("a@b", True), (" a@b.c ", True), ("a b@c", False), ("@b", False), ("a@", False), ("ann", False), ("", False)],
)
def test_what_can_be_an_address(text: str, is_one: bool) -> None:
    assert is_email(text) is is_one
