"""Who meets which fault: shares, places, and the same seed dealing the same hand."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from bulkwriter.stub.fault_runner import EFFECTS
from bulkwriter.stub.faults import EARLY, KINDS, Dealer, FaultRule, read_rules
from bulkwriter.stub.request import COMPLETIONS


def hand(dealer: Dealer, n: int, operation: str = "create") -> list[str | None]:
    return [rule.kind if rule else None for rule in (dealer.deal(operation, COMPLETIONS) for _ in range(n))]


def test_every_kind_has_an_effect_and_tells_by_its_name_whether_it_applies() -> None:
    assert set(EFFECTS) == {name for name, kind in KINDS.items() if kind.on != "connect"} - EARLY
    for name, kind in KINDS.items():
        if name.endswith("_before"):
            assert not kind.applies, name
        if name.endswith("_after"):
            assert kind.applies, name
            assert "pplied" in kind.text, name


def test_shares_are_kept_side_by_side() -> None:
    dealer = Dealer(read_rules({"rst_after": 0.2, "500_before": 0.1}), random.Random(1))
    counts = Counter(hand(dealer, 20_000))
    assert 3_700 < counts["rst_after"] < 4_300
    assert 1_800 < counts["500_before"] < 2_200
    assert dealer.deal("list", COMPLETIONS) is None


def test_the_same_seed_deals_the_same_whatever_comes_between() -> None:
    rules = read_rules([{"kind": "rst_after", "share": 0.3}, {"kind": "list_short", "share": 0.3}])
    first, second = Dealer(rules, random.Random("7")), Dealer(rules, random.Random("7"))
    assert hand(first, 200) == hand(second, 200)
    assert hand(Dealer(rules, random.Random("8")), 200) != hand(Dealer(rules, random.Random("7")), 200)


def test_operations_without_faults_do_not_draw() -> None:
    rules = read_rules({"rst_after": 0.3})
    quiet, busy = Dealer(rules, random.Random("7")), Dealer(rules, random.Random("7"))
    dealt = []
    for _ in range(100):
        busy.deal("list", COMPLETIONS)
        dealt += hand(busy, 1)
    assert dealt == hand(quiet, 100)


def test_skip_and_limit_place_a_fault_exactly() -> None:
    dealer = Dealer([FaultRule(kind="rst_after", skip=4, limit=1)], random.Random(1))
    assert hand(dealer, 10) == [None] * 4 + ["rst_after"] + [None] * 5


def test_any_means_every_operation_but_connections() -> None:
    dealer = Dealer([FaultRule(kind="500_before", on="any", limit=6)], random.Random(1))
    hit = [
        dealer.deal(operation, "" if operation in ("token", "connect") else COMPLETIONS) is not None
        for operation in ("create", "list", "read", "delete", "token", "connect", "other")
    ]
    assert hit == [True] * 5 + [False] * 2
    assert hand(dealer, 3) == ["500_before", None, None]  # the limit is the rule's, not the operation's


def test_a_fault_may_be_for_one_kind_of_record() -> None:
    rules = read_rules([{"kind": "500_before", "resource": "enrolments"}, {"kind": "rst_before", "on": "delete"}])
    dealer = Dealer(rules, random.Random(1))
    asked = [("create", "enrolments"), ("create", COMPLETIONS), ("delete", "enrolments"), ("delete", COMPLETIONS)]
    dealt = [dealer.deal(*place) for place in asked]
    assert [rule and rule.kind for rule in dealt] == ["500_before", None, "rst_before", "rst_before"]


def test_the_shares_of_different_kinds_of_records_do_not_add_up() -> None:
    apart = [{"kind": "rst_after", "share": 0.6, "resource": name} for name in (COMPLETIONS, "enrolments")]
    assert len(read_rules(apart)) == 2
    with pytest.raises(ValueError, match=r"the shares of faults on 'create' add up to 1\.2"):
        read_rules([*apart, {"kind": "500_before", "share": 0.6, "resource": "enrolments"}])
