"""`bulkwriter logout`: remove the stored sign-in of a server and an account.

The access token itself stays good until it expires, since the API has no way to take it back; the command says until
when.  A run at work goes on with the token that it has in memory until the server refuses it.

What cannot be read, or is not a file at all, is removed as well.  A link is removed, and never what it points to.
Not here: what is stored, and how (`store.sign_in_file`).
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

import click

from ..errors import ConfigurationStop, TryLater
from ..model import began
from ..settings import Settings
from ..shell import visible
from . import choose, config_files, options
from .login import file_of, place
from .stdout import put, put_json

if TYPE_CHECKING:
    from ..store.sign_in_file import SignInFile

HOLD_TRIES = 50
HOLD_PAUSE_S = 0.1
"""It waits 5 s for a run that renews the sign-in just now: a renewal takes one round trip."""


@click.command("logout")
@options.profile_option
@options.option("--base-url", "base_url", metavar="URL")
@options.option("--account", "account", metavar="NAME")
@options.json_option
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> int:
    """Remove the stored sign-in of a server and an account."""
    chosen = {name: value for name, value in config_files.given(ctx, given).items() if choose.is_given(value)}
    settings = Settings(**{name: chosen[name] for name in ("base_url", "account") if name in chosen})
    file = file_of(settings)
    stored = None
    with contextlib.suppress(ConfigurationStop):  # whatever it is, it goes
        stored = file.load()
    is_removed = file.is_there and remove(file)
    facts = {"base_url": settings.base_url, "account": settings.account, "removed": is_removed}
    if given["as_json"]:
        put_json({**facts, "exit_code": 0})
    elif not is_removed:
        put(f"no sign-in is stored for {place(settings)}")
    else:
        until = f" until {began(stored.expires_at)}" if stored and stored.expires_at else ""
        put(f"removed the sign-in for {place(settings)}: {visible(str(file.path))}")
        put(f"its access token stays good{until}: the API has no way to take it back")
    return 0


def remove(file: SignInFile) -> bool:
    """Remove it, unless somebody else renews it all the time.  Raises `TryLater`."""
    for _ in range(HOLD_TRIES):
        if held := file.hold():
            try:
                return held.remove()
            finally:
                held.release()
        time.sleep(HOLD_PAUSE_S)
    raise TryLater("another process renews this sign-in just now", hint="the same command a moment later")
