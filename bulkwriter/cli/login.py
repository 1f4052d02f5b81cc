"""`bulkwriter login`: a sign-in that all runs of this user share.

It asks for what was not given (user name, password, two-factor code; secrets unseen), signs in once, and stores the
tokens for the server and the account: `store.sign_in_file` says where and how.  The password is not stored.  A sign-in
that fails leaves the one before as it was.

A server that only a working folder's file names gets no sign-in typed by a slip: it must be given with --base-url.
Not here: how runs use and renew it (`net.stored_token`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from ..errors import ConfigurationStop, Exit, UsageError
from ..model import began, iso, moment
from ..settings import Settings
from ..shell import visible
from . import choose, config_files, options
from .lifecycle import CountingCommand, Invocation
from .stdout import put

if TYPE_CHECKING:
    from ..store.sign_in_file import SignInFile
    from ..stored_sign_in import StoredSignIn

EXAMPLES = (
    ("bulkwriter login", "asks for user name, password and two-factor code; every run then uses this sign-in"),
    ("bulkwriter login --username me@example.com --password-file p", "asks for nothing, for scripts"),
)


@click.command("login", cls=options.CommandWithExamples, examples=EXAMPLES)
@options.connection_options
@options.quota_options
@options.option("--give-up-after", "give_up_after_s", metavar="S", type=options.SECONDS_OR_TIME)
@options.output_options
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> int:
    """Sign in once, for all runs of this user on this machine.

    The tokens are stored in a file that only you can read, for one server and --account.  Runs renew them in time.
    """
    invocation = Invocation(ctx, {**given, "retry": None, "existing": None})
    signing = LoginCommand(invocation, ctx)
    code = invocation.conduct(signing)
    if signing.stored and not given["as_json"]:
        put("\n".join(visible(line) for line in signing.text(signing.stored)))
    return code


class LoginCommand(CountingCommand):
    """One sign-in.  `stored` is what came of it."""

    exit_code = Exit.OK

    def __init__(self, invocation: Invocation, ctx: click.Context) -> None:
        self.stored: StoredSignIn | None = None
        self._invocation, self._options = invocation, invocation.options
        self._host = config_files.foreign_host(ctx)
        self._settings = Settings()

    def prepare(self) -> Settings:
        settings = self._invocation.login_settings()
        if self._host:
            raise UsageError(
                f"{self._host.origin} names the server {visible(str(self._host.value))}, and a folder's file may come "
                "from anybody",
                hint="if you mean to sign in there, give --base-url yourself; else go to another folder",
            )
        if self._options["token_file"]:
            raise UsageError(
                "a token is not stored: it cannot be renewed",
                hint="sign in with user name and password, or give --token-file to each run",
            )
        file = file_of(settings)
        held = file.hold()  # what cannot be stored is told before anything is asked
        if held:
            try:
                held.reserve()
            finally:
                held.release()
        self._settings = signing_in(settings, file, self._options, keep_secret=self._invocation.stderr.keep_secret)
        return self._settings

    async def work(self, settings: Settings) -> None:
        from ..server_client import ServerClient

        showing = self._invocation.showing(lambda: f"waiting for {settings.base_url}")
        async with ServerClient(settings, tell=self._invocation.event_lines) as client, showing:
            self.stored = await client.sign_in_anew(settings)

    def facts(self) -> dict[str, Any]:
        stored, settings = self.stored, self._settings
        return {
            "base_url": settings.base_url,
            "account": settings.account,
            "stored_in": str(file_of(settings).path) if stored else None,
            "valid_until": iso(stored.expires_at) if stored else None,
            "renewed_from": iso(stored.renew_at) if stored and stored.refresh_token else None,
        }

    def lines(self, exit_code: int) -> list[str] | None:
        return None if self.stored or exit_code == Exit.USAGE else ["Nothing was stored"]

    def text(self, stored: StoredSignIn) -> list[str]:
        """The answer for people."""
        until = began(stored.expires_at) if stored.expires_at else "the server refuses it"
        renewed = (
            f"runs renew it from {moment(stored.renew_at)} on"
            if stored.refresh_token
            else "the server gave no refresh token, so sign in again before that"
        )
        lines = [
            f"signed in to {place(self._settings)} as {stored.username}",
            f"  stored in   {file_of(self._settings).path}, readable for you alone",
            f"  good until  {until}; {renewed}",
        ]
        if before := goes_before(os.environ):
            lines.append(f"  note        {before} is set and goes before it: runs use that instead")
        return lines


def signing_in(settings: Settings, file: SignInFile, given: Mapping[str, Any], *, keep_secret: Any) -> Settings:
    """Settings with user name, password and code, asked for where they are missing."""
    name = settings.username or asked_name(file)
    settings = dataclasses.replace(settings, username=name, token=None, token_file=None, stored_sign_in=False)
    settings = choose.with_password(settings, {"yes": False})
    keep_secret(settings.password)
    choose.check_credentials(settings)
    if not (settings.totp_file or settings.password_file) or choose.can_ask():
        settings = choose.with_totp(settings, {"yes": given["yes"]})
    choose.check_settings(settings, with_token=not choose.is_piped(settings))
    return dataclasses.replace(settings, stored_sign_in=True)


def asked_name(file: SignInFile) -> str:
    """The user name, typed at the terminal; Enter takes that of the stored sign-in."""
    if not choose.can_ask():
        raise UsageError(
            "no user name, and there is no terminal to ask at",
            hint="give --username NAME with --password-file PATH, and --totp-file PATH where the account needs a code",
        )
    before = ""
    with contextlib.suppress(ConfigurationStop):
        before = stored.username if (stored := file.load()) else ""
    name = choose.ask_line(f"User name{f' [{visible(before)}]' if before else ''}: ").strip() or before
    if not name:
        raise UsageError("no user name", hint="give --username NAME, or type it")
    return name


def goes_before(env: Mapping[str, str]) -> str:
    """What a run would use in place of the stored sign-in; "" for nothing."""
    if env.get("BULKWRITER_TOKEN", "").strip():
        return "BULKWRITER_TOKEN"
    return "BULKWRITER_TOKEN_FILE" if env.get("BULKWRITER_TOKEN_FILE") else ""


def file_of(settings: Settings) -> SignInFile:
    from ..store.sign_in_file import SignInFile

    return SignInFile.of(settings.base_url, settings.account)


def place(settings: Settings) -> str:
    return settings.base_url + (f", account {settings.account}" if settings.account else "")
