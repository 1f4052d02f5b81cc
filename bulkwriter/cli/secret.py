"""What is secret on a command line, and how it is kept out of all that is said.

The names of the variables that hold secrets, and `scrub`, which strikes known secrets out of a text.  It is the last
line of defence, for tracebacks and messages of strangers: nothing of ours puts a secret into a text at all.  A secret
of fewer than four characters is not struck out: it would shred every line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

SECRET_ENV = ("BULKWRITER_TOKEN", "BULKWRITER_PASSWORD")
SHORTEST = 4


def scrub(text: str, secrets: Sequence[str]) -> str:
    """`text` without any of `secrets`, also as they stand in JSON; the longest first, as one may begin another."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST:
            text = text.replace(secret, "(secret)").replace(json.dumps(secret, ensure_ascii=False)[1:-1], "(secret)")
    return text


def secrets_of(env: Mapping[str, str]) -> list[str]:
    """Secrets that the environment holds."""
    return [env[name].strip() for name in SECRET_ENV if env.get(name)]
