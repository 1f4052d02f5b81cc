"""What is secret on a command line, and how it is kept out of all that is said.

The names of the variables that hold secrets, and `Secrets`, which strikes known ones out of a text.  It is the last
line of defence, for tracebacks and messages of strangers: nothing of ours puts a secret into a text at all.

A secret of fewer than `SHORTEST` characters is not struck out: it would shred every line.  A short one is struck out
only where it stands by itself, since it may be a word that others are made of ("password" in "--password-file"); one
of `LONG` characters or more, as every real token is, wherever it stands.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Mapping

from ..errors import UsageError
from ..postgres.address import Address, is_postgres

SECRET_ENV = ("BULKWRITER_TOKEN", "BULKWRITER_PASSWORD")
URL_ENV = ("BULKWRITER_LEDGER", "BULKWRITER_JOURNAL")
"""Variables that may hold the URL of a database with its password."""
SHORTEST = 8
LONG = 20


class Secrets:
    """Those that are known so far."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._shapes: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Strike this one out as well, also as it stands in JSON."""
        if len(secret) >= SHORTEST:
            self._shapes |= {secret, json.dumps(secret, ensure_ascii=False)[1:-1]}
            longest_first = sorted(self._shapes, key=len, reverse=True)  # as one may begin another
            self._pattern = re.compile("|".join(map(pattern_of, longest_first)))

    def strike(self, text: str) -> str:
        """`text` without any of them."""
        return self._pattern.sub("(secret)", text) if self._pattern else text


def pattern_of(shape: str) -> str:
    """What finds it; a short one not as a part of a longer word, nor of an option's or a variable's name."""
    found = re.escape(shape)
    if len(shape) >= LONG:
        return found
    # In JSON a line end before it is the letter n behind a backslash.
    return rf"(?:(?<![\w-])|(?<=\\[nrt])){found}(?![\w-])"


def secrets_of(env: Mapping[str, str]) -> list[str]:
    """Secrets that the environment holds, passwords in URLs of databases among them."""
    secrets = [env[name].strip() for name in SECRET_ENV if env.get(name)]
    for name in URL_ENV:
        if is_postgres(env.get(name, "")):
            with contextlib.suppress(UsageError):  # told where it is used
                secrets += [secret for _, secret in Address.parse(env[name]).secrets]
    return secrets
