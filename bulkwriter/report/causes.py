"""What holds a run back, in words for people, and in five groups that each have a colour and a pattern.

The kinds are those of `run.bottleneck`.  A page has room for few colours that everybody can tell apart, and a reader
asks first whether a run waits for itself, for the server, or for something that went wrong.  So kinds have groups.

Invariant: a kind that this table does not have is shown as it is, in the last group.  Pure.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Cause(NamedTuple):
    """A kind of cause: its group, and its words."""

    group: str
    words: str


GROUPS: Final = {
    "ours": "our own quotas and ceiling",
    "server": "the server's limits",
    "doubts": "doubts that wait for looks",
    "trouble": "server or sign-in not there",
    "here": "this side: source, disk, processor",
}
"""Groups in the order of the legend, each in words."""
KINDS: Final = {
    "quota": Cause("ours", "the quotas that this run obeys"),
    "ceiling": Cause("ours", "the ceiling, --rate"),
    "in flight": Cause("ours", "as many requests in flight as allowed"),
    "limit": Cause("server", "the pace since the server asked for less"),
    "pause": Cause("server", 'pauses after "too fast" or "busy"'),
    "queue": Cause("server", "the server's queue"),
    "crowd": Cause("server", "how many at a time may be sent since it asked for less"),
    "doubts": Cause("doubts", "doubts that wait to be looked up"),
    "refused": Cause("doubts", "refused pairs that are looked up"),
    "again": Cause("doubts", "pairs that wait to be sent again"),
    "loss": Cause("doubts", "the wait after a lost journal"),
    "gone": Cause("trouble", "the server did not answer"),
    "lease": Cause("trouble", "the database of the journal did not answer"),
    "ledger": Cause("trouble", "the quota ledger did not answer"),
    "lists": Cause("trouble", "lists of existing records"),
    "token": Cause("trouble", "a new token was awaited"),
    "unwell": Cause("trouble", "an error that had to pass"),
    "cpu": Cause("here", "this machine's processor"),
    "disk": Cause("here", "this machine's disk"),
    "source": Cause("here", "the source"),
    "taker": Cause("here", "whoever took the outcomes"),
    "connecting": Cause("here", "connections were being made"),
    "start": Cause("here", "one request at a time until the first record"),
    "end": Cause("here", "nothing: the last requests were under way"),
    "stopping": Cause("here", "the end of a start"),
}


def cause_of(kind: str) -> Cause:
    """The cause of a kind, also of one that is not in the table."""
    return KINDS.get(kind) or Cause("here", kind)


FAULT_WORDS: Final = {
    "lost": "the connection ended before the reply",
    "silent": "no reply in time",
    "garbled": "a reply that is not HTTP",
    "cut": "a reply that ended early",
    "oversized": "a reply that was too long",
    "encoded": "a reply in an encoding nobody asked for",
    "cancelled": "given up before the reply",
    "shifted": "a connection out of step",
    "older": "the reply names a record that may be older",
    "other": "other causes",
}
"""Causes of lost attempts, in words."""


def loss_words(cause: str) -> str:
    """Why attempts were lost, in words."""
    if cause.startswith("http_"):
        return f"HTTP {cause.removeprefix('http_')}"
    return FAULT_WORDS.get(cause, cause)
