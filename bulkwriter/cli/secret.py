"""What is secret on a command line, and how it is kept out of all that is said.

The names of the variables that hold secrets, and `Secrets`, which strikes known ones out of a text.  It is the last
line of defence, for tracebacks and messages of strangers: nothing of ours puts a secret into a text at all.  A secret
of fewer than four characters is not struck out: it would shred every line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

SECRET_ENV = ("BULKWRITER_TOKEN", "BULKWRITER_PASSWORD")
SHORTEST = 4


class Secrets:
    """Those that are known so far."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._shapes: list[str] = []  # the longest first, as one may begin another
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Strike this one out as well, also as it stands in JSON."""
        if len(secret) >= SHORTEST:
            shapes = {*self._shapes, secret, json.dumps(secret, ensure_ascii=False)[1:-1]}
            self._shapes = sorted(shapes, key=len, reverse=True)

    def strike(self, text: str) -> str:
        """`text` without any of them."""
        for shape in self._shapes:
            text = text.replace(shape, "(secret)")
        return text


def secrets_of(env: Mapping[str, str]) -> list[str]:
    """Secrets that the environment holds."""
    return [env[name].strip() for name in SECRET_ENV if env.get(name)]
