"""Whether the token may outlive the run, and what to do where it may not: told by `plan`, and by a run once it knows.

A token that is given as text or in a file is of unknown age; the API's documentation gives it 7 days.  Nobody renews it
for us, so a run of days may end with exit 4 in the middle.  Who signs in with user name and password has tokens of
known life, which are renewed in time; so has a caller whose function gives them.

Pure.  Not here: renewing (`net.auth`), how long the run takes (`eta`).
"""

from __future__ import annotations

from typing import Final

from ..settings import Settings

DAY_S: Final = 86_400.0
TOKEN_LIFE_S: Final = 7 * DAY_S
"""`expires_in` of a sign-in: 604,799 s by the API's documentation."""
SHORT_S: Final = DAY_S
"""A run that takes less is started with a token that lives so much longer, as a rule."""
SIGN_IN: Final = "--username with --password-file signs in again by itself"


def token_warning(settings: Settings, needed_s: float, *, is_kept: bool = True) -> str:
    """A sentence where the run takes `needed_s` and its token may end before; "" else.  `is_kept`: with a journal."""
    if needed_s < SHORT_S or not (isinstance(settings.token, str) or (not settings.token and settings.token_file)):
        return ""
    days = needed_s / DAY_S
    sure = "ends before that" if needed_s > TOKEN_LIFE_S else "may end before that, depending on its age"
    took = f"about {days:,.0f} days" if days < 10_000 else "very long"
    then = (
        f"put a new one into {settings.token_file} in time: it is read again when the old one is refused; or {SIGN_IN}"
        if not settings.token
        else f"{SIGN_IN}; --token-file is read again when its token is refused; else the run ends with exit 4"
        f"{', and the same command with a new token goes on' if is_kept else ''}"
    )
    return f"the run takes {took}, and a token lives 7 days: this one {sure}.  {then[0].upper()}{then[1:]}"
