"""How texts are compared: e-mail addresses, names of people, titles.  Pure: text in, key out.

    e-mail    without case and outer blanks, nothing more: `a.b@x` and `ab@x` may be two people
    name      NFKC and casefold (Unicode, 3.13, D146), blanks as one
    title     as a name

Equal keys are the only test of equality, whatever a server's filter answered.  A filter may be exact, ignore case, or
look for the text anywhere, so what it returns is always compared here again.

Invariant: a key's key is the key itself.  An empty key is no text, and equal to nothing.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

ADDRESS: Final = re.compile(r"\S+@[^\s@]+")
TITLES: Final = 4_096
"""Keys that are remembered: a table has few titles, each in thousands of rows."""


def email_key(text: str) -> str:
    """The form in which addresses are compared."""
    return text.strip().casefold()


def is_email(text: str) -> bool:
    """Whether a text can be an address at all: something, an @, something, and no blank between."""
    return ADDRESS.fullmatch(text.strip()) is not None


@lru_cache(maxsize=TITLES)
def title_key(text: str) -> str:
    """The form in which titles and names are compared."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split())
