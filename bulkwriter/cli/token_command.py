"""Runs the user's own token_command: the first line that it prints is the token.

The command stands in the user's own configuration file, and nowhere else.  It runs in `/bin/sh`, without input, in the
run's own session, so that a keyring may ask at the terminal.  What it prints on stderr is kept back: it may quote a
secret.  If it fails, the last line of that is told, without words that may be one.

It is cancelled when the request's deadline has passed (`net.auth.CalledToken`), and is then killed.

Invariants: no output of it is part of an error as it stands.  At most `LINE_BYTES` of each stream are kept.
"""

from __future__ import annotations

import asyncio
import contextlib
from asyncio.subprocess import DEVNULL, PIPE
from typing import Final

from ..errors import ConfigurationStop
from ..shell import hidden, visible

LINE_BYTES: Final = 65_536
KEPT_BYTES: Final = 2_000
WORDS_CHARS: Final = 200
HINT: Final = "run it by hand: it stands under token-command in the file that `bulkwriter config path` names"


async def token_of(command: str) -> str:
    """The token that `command` prints.  Raises `ConfigurationStop` if it fails or prints none.  Safe to cancel."""
    process = await asyncio.create_subprocess_shell(command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, limit=LINE_BYTES)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line, said = await asyncio.gather(first_line(process.stdout), last_words(process.stderr))
        code = await process.wait()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
    if code:
        raise ConfigurationStop(
            f"the token_command ended with exit code {code}" + (f": {said}" if said else ""), hint=HINT, code="token"
        )
    token = line.decode("utf-8", "replace").strip()
    if not token or "\N{REPLACEMENT CHARACTER}" in token:
        raise ConfigurationStop("the token_command printed no token in its first line", hint=HINT, code="token")
    return token


async def first_line(stream: asyncio.StreamReader) -> bytes:
    """The first line; b"" for one that is far too long to be a token.  The rest is read and dropped."""
    try:
        line = await stream.readline()
    except ValueError:
        line = b""
    while await stream.read(LINE_BYTES):
        pass
    return line


async def last_words(stream: asyncio.StreamReader) -> str:
    """The last line, without what may be a secret."""
    kept = b""
    while more := await stream.read(LINE_BYTES):
        kept = (kept + more)[-KEPT_BYTES:]
    lines = kept.decode("utf-8", "replace").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "")
    return hidden(visible(last.strip()))[:WORDS_CHARS]
