"""Whether the token may expire before the run ends, and what to do then.  `plan` says it, and so does a run.

A token that is given as text or in a file is of unknown age.  The API's documentation gives it a life of 7 days, and
nobody renews it for us.  So a run of several days may end with exit 4.  After a sign-in with user name and password the
life of each token is known, and it is renewed in time.  The same holds for a caller whose function returns tokens.

Pure.  Not here: the renewal (`net.auth`), and how long the run takes (`quota.view`).
"""

from __future__ import annotations

from typing import Final

from ..settings import Settings

DAY_S: Final = 86_400.0
TOKEN_LIFE_S: Final = 7 * DAY_S
"""The life of a token: by the API's documentation the `expires_in` of a sign-in is 604,799 s."""
SHORT_S: Final = DAY_S
"""For a shorter run there is no warning: as a rule its token lives longer than that."""
SIGN_IN: Final = "--username with --password-file signs in again by itself"


def token_warning(settings: Settings, needed_s: float, *, is_kept: bool = True) -> str:
    """A sentence if a run of `needed_s` may outlive its token; "" else.  `is_kept`: the run has a journal."""
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
