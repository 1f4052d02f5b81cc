"""Quotas from their text: a table by hand, what is refused and in which words, profile, share, and any text at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkwriter.errors import UsageError
from bulkwriter.quota.windows import LONGEST_S, NEXUDUS, UNITS, concerned, day_start, is_short, parse, windows_of

DAY_S = 86_400.0


@pytest.mark.parametrize(
    ("spec", "kind", "count", "window_s", "day_at_s"),
    [
        ("write:60/min", "write", 60, 60.0, None),
        ("write:2500/day", "write", 2_500, DAY_S, None),
        ("any:1/100ms", "any", 1, 0.1, None),
        ("read:5_000/hour", "read", 5_000, 3_600.0, None),
        ("any:200,000/day", "any", 200_000, DAY_S, None),
        ("write:50/s", "write", 50, 1.0, None),
        ("write:10/10s", "write", 10, 10.0, None),
        ("write:9/2h", "write", 9, 7_200.0, None),
        ("write:9/7days", "write", 9, 7 * DAY_S, None),
        ("write:9/90minutes", "write", 9, 5_400.0, None),
        ("write:2500/day@00:00+00:00", "write", 2_500, DAY_S, 0.0),
        ("write:2500/day@00:00", "write", 2_500, DAY_S, 0.0),
        ("write:2500/1d@06:30z", "write", 2_500, DAY_S, 23_400.0),
        ("write:2500/24h@06:30z", "write", 2_500, DAY_S, 23_400.0),
    ],
)
def test_a_quota_is_read(spec: str, kind: str, count: int, window_s: float, day_at_s: float | None) -> None:
    window = parse(spec)
    assert (window.text, window.kind, window.count, window.day_at_s) == (spec, kind, count, day_at_s)
    assert window.window_s == pytest.approx(window_s)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("", "is not a quota"),
        ("60/min", "is not a quota"),
        ("nexuds", "did you mean 'nexudus'?"),
        ("writ:60/min", "did you mean 'write'?"),
        ("write:60/minuts", "did you mean 'minute'?"),
        ("write:60/fortnight", "is not ms, s, min, hour or day"),
        ("write:0/min", "a count from 1"),
        ("write:60/0min", "from 1 ms to 31 days"),
        ("write:60/32days", "from 1 ms to 31 days"),
        ("write:1000000001/day", "a count from 1"),
        ("write:-1/day", "is not a quota"),
        ("write:60/min@00:00", "only a day can begin"),
        ("write:60/2days@00:00", "only a day can begin"),
        ("write:60/day@24:00", "is not like 00:00+00:00"),
        ("write:60/day@noon", "is not like 00:00+00:00"),
        ("write:60/day@00:00+2", "is not like 00:00+00:00"),
        ("write:" + "9" * 5_000 + "/day", "is not a quota"),
        ("write:1/" + "9" * 5_000 + "day", "is not a quota"),
    ],
)
def test_what_is_no_quota_is_refused_with_an_example(spec: str, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse(spec)
    assert words in refused.value.message
    assert "write:60/min" in refused.value.hint


@given(st.text(alphabet="writeadny:0123456789/mshou@+-.,_z ", max_size=40) | st.text(max_size=40))
def test_any_text_is_a_quota_or_refused(spec: str) -> None:
    try:
        windows = windows_of([spec], is_loopback=False)
    except UsageError:
        return
    for window in windows:
        assert 1 <= window.count <= 10**9
        assert 1e-3 <= window.window_s <= LONGEST_S


@given(
    st.sampled_from(["write", "read", "any"]), st.integers(1, 10**9), st.integers(1, 30), st.sampled_from(list(UNITS))
)
def test_every_count_and_length_is_read_back(kind: str, count: int, number: int, unit: str) -> None:
    window = parse(f"{kind}:{count}/{number}{unit}")
    assert (window.kind, window.count, window.window_s) == (kind, count, number * UNITS[unit])


@pytest.mark.parametrize(
    ("day_at", "after_midnight_utc"),
    [("00:00", 0), ("00:00+00:00", 0), ("01:00+02:00", 82_800), ("22:00-02:00", 0), ("23:59+00:00", 86_340)],
)
def test_a_day_begins_at_a_time_in_a_zone(day_at: str, after_midnight_utc: float) -> None:
    assert day_start("write:1/day", day_at) == after_midnight_utc


# ---- which windows hold


def texts(*specs: str, is_loopback: bool = False, share: float = 1.0) -> list[str]:
    return [window.text for window in windows_of(specs, is_loopback=is_loopback, share=share)]


def test_the_documented_limits_hold_for_every_host_but_loopback() -> None:
    assert texts() == list(NEXUDUS) == texts("nexudus") == texts("nexudus", is_loopback=True)
    assert texts(is_loopback=True) == texts("none") == texts(" NONE ") == []
    with pytest.raises(UsageError, match="none goes with no other"):
        windows_of(["none", "write:1/s"], is_loopback=False)


def test_a_quota_given_replaces_the_profile_or_its_own_window_of_it() -> None:
    assert texts("write:5000/day") == ["write:5000/day"]
    assert texts("nexudus", "write:5000/day") == [s for s in NEXUDUS if s != "write:2500/day"] + ["write:5000/day"]
    assert texts("nexudus", "write:9/hour") == [*NEXUDUS, "write:9/hour"]
    assert texts("write:9/hour", "WRITE:9/hour", "") == ["write:9/hour"]


def test_a_share_leaves_room_for_others() -> None:
    windows = {w.text: w for w in windows_of(["nexudus"], is_loopback=False, share=0.8)}
    assert (windows["write:60/min"].count, windows["write:2500/day"].count) == (48, 2_000)
    # 0.8 requests in 100 ms are one in 125 ms
    assert windows["any:1/100ms"].count == 1
    assert windows["any:1/100ms"].window_s == pytest.approx(0.125)


def test_a_share_of_less_than_a_request_a_month_is_refused() -> None:
    with pytest.raises(UsageError, match="less than one request in 31 days"):
        windows_of(["write:1/31days"], is_loopback=False, share=0.5)
    with pytest.raises(UsageError, match="less than one request"):
        windows_of(["write:1/day@00:00"], is_loopback=False, share=0.5)


def test_a_request_counts_in_the_windows_of_its_kind_and_in_any() -> None:
    windows = windows_of(["write:1/s", "read:2/s", "any:3/s"], is_loopback=False)
    assert [w.kind for w in concerned(windows, "write")] == ["write", "any"]
    assert [w.kind for w in concerned(windows, "read")] == ["read", "any"]


@pytest.mark.parametrize(
    ("spec", "is_so"), [("write:1/min", True), ("write:1/61s", False), ("write:1/day@00:00", False)]
)
def test_windows_of_up_to_a_minute_are_short(spec: str, is_so: bool) -> None:
    assert is_short(parse(spec)) is is_so
