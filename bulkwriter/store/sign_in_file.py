"""The file of a stored sign-in: read only if it is surely ours, replaced as a whole, and locked while it is renewed.

    STATE/bulkwriter/sign-ins/HOST-DIGEST.json         0600, in a folder 0700; STATE is $XDG_STATE_HOME or
                                                       ~/.local/state
    the same with .lock                                held with flock(2) by whoever renews or replaces it; empty
    the same with .new                                 what is to take its place; left only by a kill

The digest is that of base URL, account and machine.  So a sign-in is found for its own server alone, and a copy of the
folder on another machine is not used there: two machines with one refresh token would spend it for each other.

The file is one JSON object with the fields of `StoredSignIn` and a `version`.

Invariants: a link, a file of another user, or one that others may read or write is refused, with what to do about it.
So is a folder that others may write.  Room for the next sign-in is on the disk before `HeldFile.reserve` returns, so
that no refresh token is spent that cannot be replaced.  No secret is part of an error.
Not here: when it is renewed (`stored_sign_in`).  Source: open(2), O_NOFOLLOW; rename(2); flock(2).
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from ..errors import ConfigurationStop
from ..stored_sign_in import StoredSignIn
from .boot import machine_id
from .lock import try_flock
from .private import FILE_MODE, make_folder, state_folder, whose
from .schema import normal_url

VERSION: Final = 1
BYTES_MAX: Final = 65_536
"""Of a file.  Two tokens of the longest that a header takes, 16,384 characters, and the rest have room in it."""
OTHERS: Final = 0o077
WRITABLE: Final = 0o022
NO_LINK: Final = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
LINK_ERRORS: Final = (errno.ELOOP, errno.ENOTDIR)
"""What open(2) says of a link that is not to be followed."""
TEXTS: Final = ("base_url", "account", "username", "client_id", "access_token", "refresh_token")


class SignInFile:
    """The place of one sign-in; nothing is opened until it is asked for.  Its methods block for a small file."""

    def __init__(self, folder: Path, base_url: str, account: str | None) -> None:
        self._base_url, self._account = normal_url(base_url), account or ""
        host = re.sub(r"[^\w.-]", "_", urlsplit(base_url).hostname or "", flags=re.ASCII)[:60]
        text = f"{self._base_url} {self._account} {machine_id()}"
        digest = hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]
        self.path = folder / f"{host}-{digest}.json"

    @classmethod
    def of(cls, base_url: str, account: str | None) -> Self:
        """The file in the user's state folder.  Raises `ConfigurationStop` without a home folder."""
        try:
            return cls(state_folder() / "sign-ins", base_url, account)
        except RuntimeError as e:
            hint = "set HOME or XDG_STATE_HOME to an absolute path"
            raise ConfigurationStop(f"a stored sign-in has no place: {e}", hint=hint, code="token") from None

    @property
    def server(self) -> tuple[str, str]:
        """Base URL and account."""
        return self._base_url, self._account

    @property
    def is_there(self) -> bool:
        """Whether anything stands at its place, however bad."""
        return os.path.lexists(self.path)

    def load(self) -> StoredSignIn | None:
        """The sign-in, or None if there is none.  Raises `ConfigurationStop` for what is damaged or not surely ours."""
        with translated(self.path), contextlib.ExitStack() as stack:
            try:
                folder = stack.enter_context(folder_of(self.path))
                fd = os.open(self.path.name, os.O_RDONLY | NO_LINK, dir_fd=folder)
            except FileNotFoundError:
                return None
            stack.callback(os.close, fd)
            check_ours(fd, self.path)
            raw = os.read(fd, BYTES_MAX)
        return self._read(raw)

    def hold(self) -> HeldFile | None:
        """The right to replace it, or None while another process has it.  Raises `ConfigurationStop`."""
        with translated(self.path, "written"):
            make_folder(self.path.parent)
            with contextlib.ExitStack() as stack:
                folder = stack.enter_context(folder_of(self.path))
                flags = os.O_RDWR | os.O_CREAT | NO_LINK
                fd = os.open(self.path.name + ".lock", flags, FILE_MODE, dir_fd=folder)
                stack.callback(os.close, fd)
                if not try_flock(fd):
                    return None
                return HeldFile(self.path, folder, stack.pop_all())

    def _read(self, raw: bytes) -> StoredSignIn:
        try:
            kept: dict[str, Any] = json.loads(raw)
            version = kept.pop("version")
            found = StoredSignIn(**kept)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise self._damaged("it is damaged") from None
        if version != VERSION:
            raise self._damaged(f"it has format {version!r:.20}, and this version reads format {VERSION}")
        if not is_believable(found):
            raise self._damaged("it is damaged")
        if (found.base_url, found.account) != self.server:
            raise self._damaged("it is for another server or account")
        return found

    def _damaged(self, why: str) -> ConfigurationStop:
        return unusable(self.path, why, "`bulkwriter login` puts a new one in its place")


class HeldFile:
    """The right to replace a sign-in, until `release`."""

    def __init__(self, path: Path, folder: int, stack: contextlib.ExitStack) -> None:
        self._path, self._folder, self._stack = path, folder, stack
        self._new = path.name + ".new"

    def reserve(self) -> None:
        """Make sure that a sign-in can be saved: room on the disk, and a file that nobody else may read."""
        with translated(self._path, "written"):
            self._write(b"\0" * BYTES_MAX)

    def save(self, sign_in: StoredSignIn) -> None:
        """Put it in the place of the one before, durably.  Raises `ConfigurationStop`; the one before is then there."""
        text = json.dumps({"version": VERSION, **dataclasses.asdict(sign_in)}, indent=1)
        with translated(self._path, "written"):
            self._write(text.encode())
            os.replace(self._new, self._path.name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
            os.fsync(self._folder)

    def remove(self) -> bool:
        """Remove it, whatever stands at its place.  Returns whether anything did."""
        with translated(self._path, "removed"):
            try:
                os.unlink(self._path.name, dir_fd=self._folder)
            except FileNotFoundError:
                return False
            os.fsync(self._folder)
        return True

    def release(self) -> None:
        """Let others have it.  A repetition is harmless."""
        with contextlib.suppress(OSError):
            os.unlink(self._new, dir_fd=self._folder)
        self._stack.close()

    def _write(self, raw: bytes) -> None:
        """Make the new file hold `raw`, on the disk.  One that is there already keeps its room."""
        flags = os.O_WRONLY | os.O_CREAT | NO_LINK
        fd = os.open(self._new, flags, FILE_MODE, dir_fd=self._folder)
        try:
            check_ours(fd, self._path.with_name(self._new))
            written = 0
            while written < len(raw):
                written += os.pwrite(fd, raw[written:], written)
            os.ftruncate(fd, len(raw))
            os.fsync(fd)
        finally:
            os.close(fd)


@contextlib.contextmanager
def folder_of(path: Path) -> Iterator[int]:
    """The folder of a sign-in, opened, so that nobody can put another one in its place meanwhile."""
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        facts = os.fstat(fd)
        if facts.st_uid != os.geteuid():
            raise unusable(path.parent, "it belongs to another user", OWNER_HINT)
        if facts.st_mode & WRITABLE:
            raise unusable(path.parent, "others may write into it", f"chmod 700 {path.parent}, and sign in again")
        yield fd
    finally:
        os.close(fd)


OWNER_HINT: Final = "run as the user who signed in, or set XDG_STATE_HOME to a folder of your own and sign in there"


def check_ours(fd: int, path: Path) -> None:
    """Refuse an open file that is not surely ours alone.  Raises `ConfigurationStop`."""
    facts = os.fstat(fd)
    if not stat.S_ISREG(facts.st_mode):
        raise unusable(path, "it is no ordinary file", "look at it, and remove it")
    if facts.st_uid != os.geteuid():
        raise unusable(path, "it belongs to another user", OWNER_HINT)
    if facts.st_mode & OTHERS:
        who = whose(facts.st_mode).partition(":")[0] if facts.st_mode & 0o044 else f"has mode {facts.st_mode & 0o777:o}"
        raise unusable(
            path,
            f"it {who}",
            "remove it, and sign in again, since others may have its tokens; where the file system keeps no modes, "
            "set XDG_STATE_HOME to a folder on one that does",
        )


@contextlib.contextmanager
def translated(path: Path, verb: str = "used") -> Iterator[None]:
    """`OSError` becomes a `ConfigurationStop` that names the file."""
    try:
        yield
    except OSError as e:
        link = "it is a symbolic link, or its folder is one" if e.errno in LINK_ERRORS else os.strerror(e.errno or 0)
        hint = (
            "look at where it points, and remove it" if e.errno in LINK_ERRORS else "mend that, or set XDG_STATE_HOME"
        )
        raise unusable(path, link, hint, verb) from None


def unusable(path: Path, why: str, hint: str, verb: str = "used") -> ConfigurationStop:
    return ConfigurationStop(f"the stored sign-in {path} cannot be {verb}: {why}", hint=hint, code="token")


def is_believable(found: StoredSignIn) -> bool:
    """Whether every field has its type, and the times are in order."""
    times = (found.obtained_at, found.obtained_at if found.expires_at is None else found.expires_at)
    return (
        all(type(getattr(found, name)) is str for name in TEXTS)
        and bool(found.access_token and found.client_id)
        and all(type(at) in (int, float) for at in times)
        and 0 < times[0] <= times[1] < float("inf")
    )
