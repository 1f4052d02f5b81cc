"""Scenarios: what they accept, what they refuse and in which words, and what follows from their seed."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from bulkwriter.errors import UsageError
from bulkwriter.stub.faults import FaultRule
from bulkwriter.stub.limits import LimitRule
from bulkwriter.stub.scenario import Grid, Scenario, each_id
from bulkwriter.stub.tokens import ROLES


def test_an_empty_scenario_is_the_default() -> None:
    assert Scenario.from_mapping({}) == Scenario()
    assert Scenario().tokens == {"stub-token": ROLES}


def test_every_field_is_documented_and_its_default_reads_as_itself() -> None:
    for f in dataclasses.fields(Scenario):
        assert len(f.metadata["text"]) > 10, f.name
        assert Scenario.from_mapping({f.name: f.default}) == Scenario(), f.name


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"latencys": 1}, "did you mean 'latency_s'?"),
        ({"xyzzy": 1}, "known keys: seed"),
        ({"latency_s": -1}, "latency_s: -1 is not a number from 0 to"),
        ({"latency_s": float("nan")}, "latency_s"),
        ({"seed": True}, "seed: True is not an integer"),
        ({"unique": "maybe"}, "unique: 'maybe' is not one of no, 400, 409"),
        ({"faults": {"rst_aftr": 0.1}}, "did you mean 'rst_after'?"),
        ({"faults": [{"kind": "rst_after", "shar": 0.1}]}, "did you mean 'share'?"),
        ({"faults": [{"share": 0.1}]}, "kind is missing"),
        ({"faults": 7}, "neither a list of faults nor a mapping"),
        ({"faults": {"rst_after": 0.6, "500_after": 0.6}}, "the shares of faults on 'create' add up to 1.2"),
        ({"faults": [{"kind": "connect_rst", "on": "create"}]}, "cannot be dealt on 'create'"),
        ({"faults": [{"kind": "list_short", "on": "any"}]}, "cannot be dealt on 'any'"),
        ({"faults": [{"kind": "rst_after", "on": "connect"}]}, "cannot be dealt on 'connect'"),
        ({"faults": [{"kind": "redirect_307", "location": "x\r\nSet-Cookie: y"}]}, "cannot stand in a header"),
        ({"limits": [{"kind": "buckt", "count": 1}]}, "did you mean 'bucket'?"),
        ({"limits": [7]}, "7 is not a mapping"),
        ({"tokens": {"a": ["Write"]}}, "'Write' is not one of Create, List, Read, Delete"),
        ({"tokens": 7}, "neither a list of tokens"),
        ({"status_in_rejections": 1}, "1 is not true or false"),
        ({"users": [{"username": 7}]}, "7 is not text"),
        ({"existing": [[1, 2, 3]]}, "not a [lesson, member] pair"),
        ({"existing": [[1, 0]]}, "0 is not an integer from 1"),
        ({"existing": {"lessons": 5}}, "members is missing"),
        ({"known_lessons": ["5-3"]}, "neither an id nor a 'first-last' span"),
        ({"known_lessons": [True]}, "neither an id"),
        ({"known_lessons": "5"}, "not a list of ids"),
    ],
)
def test_what_is_wrong_is_refused_with_the_place_and_a_way_out(raw: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        Scenario.from_mapping(raw)
    assert words in str(caught.value)


def test_faults_come_as_a_list_of_rules_or_as_shares() -> None:
    short = Scenario.from_mapping({"faults": {"rst_after": 0.25}})
    assert short.faults == (FaultRule(kind="rst_after", share=0.25),)
    assert short.faults[0].on == "create"
    assert Scenario.from_mapping({"faults": {"list_short": 1}}).faults[0].on == "list"
    assert Scenario.from_mapping({"faults": {"late_apply": 1}}).faults[0].wait_s == 0.5
    early_beside = Scenario.from_mapping({"faults": {"fin_mid_request": 0.9, "rst_after": 0.9}})
    assert len(early_beside.faults) == 2  # two draws, so each may have up to 1


def test_spans_are_sorted_and_merged() -> None:
    known = Scenario.from_mapping({"known_lessons": [7, "1-3", "3-5", 6, 20]}).known_lessons
    assert known == ((1, 7), (20, 20))
    assert Scenario.from_mapping({"known_members": 500}).known_members == ((1, 500),)
    assert list(each_id(((1, 3), (9, 9)))) == [1, 2, 3, 9]


def test_a_grid_holds_exactly_its_share() -> None:
    half = Scenario.from_mapping({"existing": {"lessons": 50, "members": 100, "share": 0.5}})
    pairs = list(half.existing_pairs())
    assert len(pairs) == len(set(pairs)) == 2_500
    assert all(1 <= lesson <= 50 and 1 <= member <= 100 for lesson, member in pairs)
    assert pairs == list(half.existing_pairs())
    assert pairs != list(half.but(seed=1).existing_pairs())
    whole = half.but(existing=Grid(lessons=((7, 8),), members=((1, 2),)))
    assert list(whole.existing_pairs()) == [(7, 1), (7, 2), (8, 1), (8, 2)]


def test_a_purpose_has_its_own_chance() -> None:
    assert Scenario().rng("faults").random() == Scenario().rng("faults").random()
    assert Scenario().rng("faults").random() != Scenario().rng("latency").random()


def test_files_are_read_as_json_or_toml(tmp_path: Path) -> None:
    raw = {"seed": 3, "limits": [{"kind": "bucket", "count": 9}]}
    as_json, as_toml = tmp_path / "a.json", tmp_path / "a.toml"
    as_json.write_text(json.dumps(raw))
    as_toml.write_text('seed = 3\n[[limits]]\nkind = "bucket"\ncount = 9\n')
    assert (
        Scenario.load(as_json)
        == Scenario.load(str(as_toml))
        == Scenario(seed=3, limits=(LimitRule(kind="bucket", count=9),))
    )


@pytest.mark.parametrize(
    ("name", "text"), [("a.json", "{"), ("a.toml", "seed = "), ("a.json", "[]"), ("a.json", '{"x": 1}')]
)
def test_a_bad_file_is_named(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(UsageError, match=f"scenario .*{name}"):
        Scenario.load(path)


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        Scenario.load(tmp_path / "none.json")
