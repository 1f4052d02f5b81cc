"""How text from outside is shown: commands that can be pasted, and messages that cannot control a terminal.

A path or argument may begin with "-".  It may hold blanks, quotes, line ends, escape sequences, bytes that are no text,
or letters that the terminal's locale does not have.  `quote` and `join` write it so that bash, zsh and ksh read the
very same bytes again: as it is, in '…', or as $'…' with \\xHH for each such byte.  `operand` writes a path so that no
command takes it for an option.

`visible` is for messages.  A character that a terminal would obey, turn around or not show becomes its escape.  Line
ends stay, since messages have several lines.  Its own result passes through it unchanged, since that is printable.

`hidden` is for the words of strangers that may quote a secret.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable
from typing import Final

MAY_BE_SECRET: Final = re.compile(r"(?=[\w~+/=-]*\d)[\w~+/=-]{6,}|[\w~+/=-]{24,}")
"""Words that may be a token, a password or a code: with a digit from six characters on, else from 24 on."""


_NAME: Final = r'(?:\\?"[^"@\n]{1,64}"|[^\s@<>"(),;:=&?/]{1,128})(?:@|%40)'
_PART: Final = r"[^\s@<>\"'(),;:=&?/.]+"
E_MAIL: Final = re.compile(rf"{_NAME}{_PART}(?:\.{_PART})+", re.IGNORECASE)
"""What an e-mail looks like wherever it stands, also with a quoted name, or as a URL has it.  `day@06:00` is none."""
LIKE_E_MAIL: Final = re.compile(rf"{_NAME}[^\s@<>\"'(),;:=&?/]+", re.IGNORECASE)
"""The same for words of strangers, which may leave out the dot."""


def join(args: Iterable[str]) -> str:
    """A command line that can be pasted."""
    return " ".join(map(quote, args))


def quote(arg: str, *, is_ascii: bool | None = None) -> str:
    """One argument as a shell reads it back.  `is_ascii`: other letters as bytes; by default as the locale says."""
    is_ascii = is_ascii_locale() if is_ascii is None else is_ascii
    if arg.isprintable() and (arg.isascii() or not is_ascii):
        return shlex.quote(arg)
    return "$'" + "".join(map(_as_read, arg)) + "'"


def operand(path: object) -> str:
    """A path that no command takes for an option, nor for stdin: `./-x` for `-x`."""
    text = str(path)
    return f"./{text}" if text.startswith("-") else text


def visible(text: str) -> str:
    """`text` without anything that a terminal would not just show, but for line ends."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else _escape(c) for c in text)


def hidden(text: str) -> str:
    """`text` without the words that may be a secret."""
    return MAY_BE_SECRET.sub("(hidden)", text)


def is_ascii_locale() -> bool:
    """Whether the terminal may have no letters but ASCII's; without any word of it (cron) it may."""
    env = os.environ
    return "UTF" not in (env.get("LC_ALL") or env.get("LC_CTYPE") or env.get("LANG") or "").upper()


def _as_read(char: str) -> str:
    if char in "\\'":
        return "\\" + char
    if " " <= char <= "~":
        return char
    try:
        raw = os.fsencode(char)
    except UnicodeEncodeError:  # the file system's encoding does not have it, so it is in no name there
        raw = char.encode("utf-8", "surrogatepass")
    return "".join(f"\\x{byte:02x}" for byte in raw)


def _escape(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # a byte that is no text, as Python carries it
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")
