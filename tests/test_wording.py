"""Texts for people: no option and no command of ours reaches a user of the library; the command line keeps its own."""

from __future__ import annotations

import ast
import copy
import dataclasses
import inspect
import pickle
import re
from pathlib import Path

import pytest

from bulkwriter import Settings, open_source
from bulkwriter.cli.event_lines import as_typed
from bulkwriter.core.stops import GO_ON, at_gone
from bulkwriter.errors import JournalError, UsageError
from bulkwriter.events import Stopping
from bulkwriter.observe.sentences import sentence
from bulkwriter.wording import NAMES, OTHER_NAMES, PHRASES, Worded, typed

from .test_tidy import MODULES, name_of, part_of, tree

ON_TOP = {"cli", "stub", "report", "resolve", "verify", "examples", "__main__", "wording"}
"""Parts whose texts no user of `BulkWriter` reads, and the table itself."""
NO_HINTS = {
    "held back by": {"the ceiling, --rate ", " of about ", ", as --in-flight says"},  # `Snapshot.held_by`, of a run
    "the end of a run": {"as many pairs were sent as --limit allows"},
    "for whoever runs the database": {"bulkwriter ledger init URL --grant ROLE"},
    "for whoever runs the cluster": {"`ray start --head`", "`ray status --address X`"},
    "for pip, uv and pipx": {"in the clone: uv tool install --reinstall '.["},
}
"""Texts that are no hints: shown as they are."""


def texts(path: Path) -> set[str]:
    """The strings of a module but its docstrings; of a string with values in it, the whole with `X` for each value."""
    found, passed = set(), set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            passed.add(node.value)
        elif isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "X" for part in node.values]
            passed.update(part for part in node.values if isinstance(part, ast.Constant))
            found.add("".join(map(str, parts)))
    constants = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Constant) and node not in passed]
    return found | {node.value for node in constants if isinstance(node.value, str)}


TEXTS = {
    (name_of(path), text) for path in MODULES if part_of(path) not in ON_TOP for text in texts(path)
}  # fmt: skip


def test_no_text_of_the_library_holds_an_option() -> None:
    kept = set().union(*NO_HINTS.values())
    told = {
        (name, text)
        for name, text in TEXTS
        if re.search(r"(?<![\w-])--[a-z]", Worded(text)) and not any(part in text for part in kept)
    }
    assert told == set()


COMMAND = re.compile(
    r"\bcommand (later|after|then|goes|with|again|that)\b|\b(this|same|the) command\b"
    r"|\bbulkwriter (run|plan|status|undo|verify|export|check|runs)\b"
)
"""Of our commands an operator of a service may need `login`, `resolve` and `help`."""


def test_no_text_of_the_library_holds_a_command_but_those_for_operators() -> None:
    assert {(name, text) for name, text in TEXTS if COMMAND.search(Worded(text))} == set()


def test_every_option_is_a_setting_or_an_argument_of_a_source() -> None:
    names = {f.name for f in dataclasses.fields(Settings)} | set(inspect.signature(open_source).parameters)
    meant = {OTHER_NAMES.get(name, name.replace("-", "_")).partition("=")[0] for name in NAMES}
    assert meant <= names


@pytest.mark.parametrize("spoken", [spoken for spoken, _ in PHRASES])
def test_every_phrase_is_said_somewhere(spoken: str) -> None:
    assert any(spoken in Worded(text).typed for _, text in TEXTS)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("name another file with --ledger.  Then", "name another file with ledger.  Then"),
        ("use --existing skip", 'use existing="skip"'),
        ("(--existing check, the default)", '(existing="check", the default)'),
        ("leave out --existing, so", "leave out existing, so"),
        ("--stop-rejected 1 goes on", "stop_rejected=1 goes on"),
        ("such as --quota-share 0.5; see", "such as quota_share=0.5; see"),
        ("give --token-file PATH, or", "give token_file=PATH, or"),
        ("raise --max-same-rejections", "raise max_same_rejections"),
        ("mend it and add --retry rejected to the command", "mend it and set retry_rejected=True"),
        ("a smaller --quota", "a smaller quota"),
        ("see --timeout", "see timeout_s"),
        ("give --hidden-rows include to", 'give hidden_rows="include" to'),
        ("name the rows: --query 'SELECT 1 ORDER BY 1'", "name the rows: query='SELECT 1 ORDER BY 1'"),
        ("mv a--journal b", "mv a--journal b"),
        ("uv tool install --reinstall x", "uv tool install --reinstall x"),
        ("nothing to say", "nothing to say"),
        ("", ""),
    ],
)
def test_a_text_has_both_forms(given: str, read: str) -> None:
    assert Worded(given) == read
    assert typed(Worded(given)) == given
    assert typed(given) == given


def test_a_text_keeps_both_forms_wherever_it_goes() -> None:
    text = Worded("with --ledger")
    for same in (Worded(text), copy.deepcopy(text), pickle.loads(pickle.dumps(text))):
        assert (same, typed(same)) == ("with ledger", "with --ledger")


def test_an_error_speaks_to_the_library_and_to_the_command_line() -> None:
    error = JournalError("locked", hint="name another file with --journal")
    assert str(error) == "locked\n  name another file with journal"
    assert error.typed() == "locked\n  name another file with --journal"
    again = JournalError(error.message, hint=error.hint)
    assert again.typed() == error.typed()


def test_so_does_an_event() -> None:
    event = Stopping("gone", UsageError("gone", hint="see --proxy").hint, is_error=True)
    assert sentence(event, wall=0) == "error: gone\n  see proxy"
    assert sentence(as_typed(event), wall=0) == "error: gone\n  see --proxy"


def test_a_stop_promises_the_same_in_both() -> None:
    error = at_gone(10, "refused", Settings(give_up_after_s=1))
    assert error
    assert (error.hint, error.hint.typed) == (
        "the same pairs, given later, go on",
        "the same command later goes on",
    )
    assert Worded(GO_ON) == "nothing is lost: the same pairs go on where they ended"
