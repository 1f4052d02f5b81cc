"""Help topics speak to people who have the program, and not the documents that it was made from."""

from __future__ import annotations

import re

import pytest

from bulkwriter.cli.topics import TOPICS

OURS = re.compile(r"DESIGN|API\.md|REDESIGN|STYLE|Not here:|Invariants?:")


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_cites_no_document_that_its_reader_has_not(topic: str) -> None:
    text = TOPICS[topic][1](80)
    assert len(text.splitlines()) > 5
    assert not OURS.search(text)
