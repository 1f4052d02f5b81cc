"""`bulkwriter help stub`: complete against the code, and its example runs."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest

from bulkwriter.stub import HELP
from bulkwriter.stub.faults import KINDS, FaultRule
from bulkwriter.stub.limits import KINDS as LIMIT_KINDS
from bulkwriter.stub.limits import LimitRule
from bulkwriter.stub.people import People
from bulkwriter.stub.scenario import Grid, Scenario
from bulkwriter.stub.tokens import User
from bulkwriter.stub.truth import FIELDS


@pytest.mark.parametrize("noun", [Scenario, Grid, User, People, LimitRule, FaultRule])
def test_every_key_is_there_with_its_text(noun: type) -> None:
    words = " ".join(HELP.split())
    for f in dataclasses.fields(noun):
        assert f"{f.name} {f.metadata['text']}" in words, f.name


def test_every_kind_and_every_field_of_the_truth_is_there() -> None:
    words = " ".join(HELP.split())
    for name, text in {**{f"kind {kind}": row.text for kind, row in KINDS.items()}, **LIMIT_KINDS, **FIELDS}.items():
        assert f"{name} {text}" in words, name


def test_the_example_is_a_scenario() -> None:
    found = re.search(r"^    \{$.*?^    \}$", HELP, re.MULTILINE | re.DOTALL)
    assert found is not None
    scenario = Scenario.from_mapping(json.loads(found[0]))
    assert (scenario.seed, len(scenario.faults), scenario.limits[0].count) == (7, 3, 50)


def test_lines_fit_a_wide_terminal() -> None:
    assert max(map(len, HELP.splitlines())) <= 120
