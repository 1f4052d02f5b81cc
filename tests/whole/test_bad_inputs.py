"""Bad inputs by properties: good ones changed at some places, and any bytes.  `scripts/fuzz` goes on from here.

How large an input may be is bounded elsewhere (`line_bytes`, `head_bytes`, `body_bytes`), each with its own test.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.bad_inputs import SEEDS, TARGETS

Change = tuple[int, int, bytes]


def changed(data: bytes, changes: list[Change]) -> bytes:
    """At each place some bytes are left out and others put in."""
    for at, count, new in changes:
        at %= len(data) + 1
        data = data[:at] + new + data[at + count :]
    return data


WORDS = st.sampled_from([b"", b"\n", b"\r", b'"', b",", b"\0", b"-", b"9" * 20, b"\xff", b"{", b"[", b"null", b"1e999"])
CHANGES = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 9), WORDS | st.binary(max_size=4)), max_size=4)


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=100)
@given(which=st.integers(0, 3), changes=CHANGES, rest=st.binary(max_size=30))
def test_nothing_bad_escapes(name: str, which: int, changes: list[Change], rest: bytes) -> None:
    seeds = SEEDS[name]
    TARGETS[name](changed(seeds[which % len(seeds)], changes) + rest)


def test_every_target_has_good_inputs_to_begin_with() -> None:
    assert list(SEEDS) == list(TARGETS)
    for name, seeds in SEEDS.items():
        for seed in seeds:
            TARGETS[name](seed)
