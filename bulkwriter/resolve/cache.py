"""What lists have shown, kept for a day in the user's cache folder: a killed `resolve` goes on, and a second one asks
nobody.

One file a server, account and sign-in, since a list may be narrowed to what its user may see.  Its name is a digest of
these, so no token and no name can be read from it.  It lies in `$XDG_CACHE_HOME` or `~/.cache`, then `bulkwriter`, and
has mode 0600.  It is a text of JSON lines, appended as replies come:

    {"at": epoch seconds, "list": name, "page": n, "size": asked for, "place": [page, page size, total, has next],
     "rows": [[kept fields] or null, …], "ids": [own id of each row]}
    {"at": …, "read": name, "asked": [ids], "rows": [[kept fields], …]}
    {"at": …, "bound": name, "size": records a page may have so that it is not too large}
    {"at": …, "drop": beginning of the names of lists that count no more}

Of people it has Id, Email, FullName and Active, and nothing else (`records`).  A line that is cut, foreign or older
than `KEPT_S` is no line, and files that nobody has written for so long are removed.  A page is only what a server said
at that time: `scan` judges cached pages as it does new ones, and a list whose cached pages do not fit together is asked
for again.

While one process has the file, a second one works without it.  A file that cannot be made or written costs calls and
nothing else; `trouble` says why.  Nothing here knows the network.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from ..errors import ConfigurationStop
from ..settings import Settings
from ..store import private
from ..store.sign_in_file import SignInFile

KEPT_S: Final = 86_400.0
"""A day: longer than any list takes to read under the quotas, and short enough that most of it is still so."""
BUSY: Final = "another resolve is using it"

PageKey = tuple[str, int, int]
"""(list, page, records asked for)"""


def cache_path(settings: Settings, env: Mapping[str, str]) -> Path | None:
    """Where the answers for this server, account and sign-in are kept; None without a folder to keep them in."""
    folder = env.get("XDG_CACHE_HOME", "")
    if not Path(folder).is_absolute():
        home = env.get("HOME", "")
        if not Path(home).is_absolute():
            return None
        folder = str(Path(home, ".cache"))
    return Path(folder, "bulkwriter", f"lists-{whose(settings)}.jsonl")


def whose(settings: Settings) -> str:
    """A digest of server, account and sign-in.  A new token is somebody else until it is known to be the same user, as
    that of a stored sign-in is.
    """
    signed_in = settings.token if isinstance(settings.token, str) else ""
    if not signed_in and settings.token_file is not None:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if settings.token_file.is_file():  # a pipe gives its token once, to those who send it
                signed_in = settings.token_file.read_text(encoding="utf-8-sig").partition("\n")[0].strip()
        signed_in = signed_in or str(settings.token_file)
    username = settings.username
    if settings.stored_sign_in:
        with contextlib.suppress(ConfigurationStop):  # what is wrong with it is told when it is used
            stored = SignInFile.of(settings.base_url, settings.account).load()
            username = stored.username if stored else username
    parts = (settings.base_url, settings.account or "", signed_in or f"user {username}")
    return hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()[:24]


class Cache:
    """The answers of one sign-in; blocking, but each step is short.  Use it as a context."""

    def __init__(self, path: Path | None, wall: Callable[[], float], *, is_fresh: bool = False) -> None:
        """`is_fresh` forgets what was kept before."""
        self._path = path
        self._wall = wall
        self._began_at = wall()
        self._is_fresh = is_fresh
        self._file: int | None = None
        self._end = 0
        self._pages: dict[PageKey, tuple[int, int]] = {}
        self._reads: dict[str, list[tuple[int, int]]] = {}
        self.sizes: dict[str, int] = {}
        """The largest page of each kind that was not too large, where that is less than usual."""
        self.oldest: float | None = None
        """When (epoch seconds) the oldest answer had come of those that were used from before; None without any."""
        self.trouble = "" if path else "there is no folder for it"

    def __enter__(self) -> Cache:
        if self._path is not None:
            try:
                self._open(self._path)
            except OSError as error:
                self._give_up(error.strerror or str(error))
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def page(self, key: PageKey) -> dict[str, Any] | None:
        """A page that was kept."""
        found = self._pages.get(key)
        return None if found is None else self._line(found)

    def put_page(self, key: PageKey, place: list[Any], ids: list[int], rows: list[Any]) -> None:
        name, number, size = key
        at = self._append({"list": name, "page": number, "size": size, "place": place, "ids": ids, "rows": rows})
        if at is not None:
            self._pages[key] = at

    def drop(self, beginning: str) -> None:
        """Forget the lists whose names begin so: their pages do not fit together, or we have changed what is there."""
        self._forget(beginning)
        self._append({"drop": beginning})

    def _forget(self, beginning: str) -> None:
        for key in [key for key in self._pages if key[0].startswith(beginning)]:
            del self._pages[key]

    def reads(self, name: str) -> Iterator[dict[str, Any]]:
        """The records of a kind that were read by their ids."""
        for place in self._reads.get(name, ()):
            if line := self._line(place):
                yield line

    def put_read(self, name: str, asked: list[int], rows: list[Any]) -> None:
        at = self._append({"read": name, "asked": asked, "rows": rows})
        if at is not None:
            self._reads.setdefault(name, []).append(at)

    def put_size(self, name: str, size: int) -> None:
        self.sizes[name] = size
        self._append({"bound": name, "size": size})

    def _open(self, path: Path) -> None:
        private.make_folder(path.parent)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, private.FILE_MODE)
        self._file = file
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._give_up(BUSY)
            return
        private.keep_private(path)
        self._remove_old(path)
        if not self._is_fresh:
            self._load(file)
        os.ftruncate(file, self._end)  # the rest was cut, or nothing of it counts any more

    def _remove_old(self, path: Path) -> None:
        """Remove the files of other sign-ins of which nothing counts any more: they hold people's data."""
        for other in path.parent.glob("lists-*.jsonl"):
            with contextlib.suppress(OSError):
                if other != path and self._wall() - other.stat().st_mtime >= KEPT_S:
                    other.unlink()

    def _load(self, file: int) -> None:
        is_any_left = False
        with os.fdopen(os.dup(file), "rb") as lines:
            at = 0
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                is_any_left |= self._note(line, (at, len(line)))
                at += len(line)
        self._end = at if is_any_left else 0

    def _note(self, line: bytes, place: tuple[int, int]) -> bool:
        """Whether this line still counts; what it holds is then known."""
        try:
            match orjson.loads(line):
                case {"at": float(at) | int(at)} if not 0 <= self._wall() - at < KEPT_S:
                    return False
                case {"list": str(name), "page": int(page), "size": int(size), "place": [_, _, _, _]}:
                    self._pages[name, page, size] = place
                case {"read": str(name), "asked": [*_]}:
                    self._reads.setdefault(name, []).append(place)
                case {"bound": str(name), "size": int(size)}:
                    self.sizes[name] = size
                case {"drop": str(beginning)}:
                    self._forget(beginning)
                case _:
                    return False
        except orjson.JSONDecodeError:
            return False
        return True

    def _line(self, place: tuple[int, int]) -> dict[str, Any] | None:
        """What stands there, and a note of its age; None if it cannot be read any more."""
        if self._file is None:
            return None
        at, length = place
        try:
            line: dict[str, Any] = orjson.loads(os.pread(self._file, length, at))
        except (OSError, orjson.JSONDecodeError):
            return None
        if line["at"] < self._began_at:
            self.oldest = min(self.oldest or line["at"], line["at"])
        return line

    def _append(self, line: dict[str, Any]) -> tuple[int, int] | None:
        """Where the line stands, or None where nothing can be kept."""
        if self._file is None:
            return None
        data = orjson.dumps({"at": self._wall(), **line}, option=orjson.OPT_APPEND_NEWLINE)
        try:
            written = os.pwrite(self._file, data, self._end)
        except OSError as error:
            self._give_up(error.strerror or str(error))
            return None
        if written < len(data):
            self._give_up("the disk is full")
            return None
        place = self._end, len(data)
        self._end += len(data)
        return place

    def _give_up(self, why: str) -> None:
        self.trouble = why
        self._pages.clear()
        self._reads.clear()
        self.close()
