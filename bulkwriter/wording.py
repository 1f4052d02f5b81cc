"""Texts that tell a person what to do: in the words of the library, and as they are typed on a command line.

The same error reaches a program that uses `BulkWriter` and somebody at a terminal.  It is written once, in the words of
the command line, and `Worded` has both forms:

    written                                 read by the library's user
    name another file with --ledger         name another file with ledger
    use --existing skip                     use existing="skip"
    the same command later goes on          the same pairs, given later, go on

So an option stands for the setting or argument of the same name, and what is said of commands is in `PHRASES`.  The
commands that help the operator of a service as well stay as they are: `bulkwriter login`, `resolve` and `help`.

Pure.  A test goes through all texts of the library.
"""

from __future__ import annotations

import re
from typing import Final

OTHER_NAMES: Final = {
    "after-loss": "after_loss=True",
    "strict": "strict=True",
    "retry": "retry_rejected",
    "timeout": "timeout_s",
    "late-apply": "late_apply_s",
    "list-lag": "list_lag_s",
    "give-up-after": "give_up_after_s",
}
"""Options whose setting has a name or a value of its own; any other has the option's name."""

NAMES: Final = (
    "base-url", "token-file", "username", "password-file", "totp-file", "client-id", "ca-file", "proxy", "journal",
    "existing", "limit", "in-flight", "rate", "min-rate", "quota-share", "quota", "on-quota", "account", "ledger",
    "max-attempts", "max-same-rejections", "stop-rejected", "lesson-column", "member-column", "header-line", "sheet",
    "hidden-rows", "query", *OTHER_NAMES,
)  # fmt: skip
"""Options that are settings, or arguments of `open_source`."""

WORDS: Final = "check|skip|wait|stop|include"
"""Values that are strings."""

OPTION: Final = re.compile(
    rf"(?<![\w-])--({'|'.join(NAMES)})(?![\w-])"
    rf"(?: (?:({WORDS})\b|(rejected)\b|(\d+(?:\.\d+)?(?![\w.]*\w)|[A-Z]{{2,}}\b|'[^']*')))?"
)

PHRASES: Final = (
    ("mend it and add --retry rejected to the command", "mend it and set retry_rejected=True"),
    ("the command that began it, with --after-loss, makes a new one", "after_loss=True makes a new one"),
    ("add --after-loss to the command that began it", "set after_loss=True"),
    ("add --after-loss", "set after_loss=True"),
    ("the same command goes on where this one ended", "the same pairs go on where they ended"),
    ("the same command goes on when", "the same source goes on when"),
    ("the same command later goes on", "the same pairs, given later, go on"),
    ("the same command later settles", "the same pairs, given later, settle"),
    ("the same command after that time goes on", "the same pairs, given after that time, go on"),
    ("the same command then goes on; cron can give it", "the same pairs, given then, go on"),
    ("the same command then goes on", "the same pairs then go on"),
    ("the same command with a new token goes on", "the same pairs with a new token go on"),
    ("give the same command again", "give the same pairs again"),
    ("the command that began it goes on with it", "what began it goes on with it"),
    ("`bulkwriter run SOURCE` goes on with it", "a writer with this journal goes on with it"),
    ("`bulkwriter run SOURCE` makes SOURCE.journal", "a writer with this journal makes it"),
    (" | bulkwriter run - --journal FILE.journal", " into open_source('-')"),
    ("mend the row and run again", "mend the row and give the source again"),
    ("ends with exit 4", "ends with a ConfigurationStop"),
)
"""What is said of commands, and of the library in its place.  The first that fits counts."""


class Worded(str):
    """A text in the words of the library.  `typed` has it in those of the command line, in which it is given."""

    __slots__ = ("typed",)
    typed: str

    def __new__(cls, text: str) -> Worded:
        if isinstance(text, Worded):
            return text
        new = super().__new__(cls, in_library_words(text))
        new.typed = text
        return new

    def __reduce__(self) -> tuple[type[Worded], tuple[str]]:
        return Worded, (self.typed,)


def typed(text: str) -> str:
    """A text in the words of the command line; one that is not `Worded` has no other."""
    return text.typed if isinstance(text, Worded) else text


def in_library_words(text: str) -> str:
    if "--" not in text and "command" not in text and "run" not in text and "exit" not in text:
        return text
    for spoken, meant in PHRASES:
        text = text.replace(spoken, meant)
    return OPTION.sub(_setting, text)


def _setting(found: re.Match[str]) -> str:
    """The setting for an option, with its value where one is named."""
    option, word, rejected, value = found.groups()
    name = OTHER_NAMES.get(option, option.replace("-", "_"))
    if rejected:
        return f"{name}=True"
    if word:
        return f'{name}="{word}"'
    return f"{name}={value}" if value else name
