"""Keeps files and folders to their owner: ids of people's courses are nobody else's business; where the user's lie.

Our files are made with mode 0600, our folders with 0700, whatever the umask.  Some file systems keep no modes (CIFS,
exFAT, a Windows drive under WSL): they refuse or ignore `chmod`.  That stops nothing.  `shown_to` then says who else
may read the file.

Invariant: files of others keep their modes.  Not here: which files those are.  Source: chmod(2), EPERM and EROFS.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

FILE_MODE = 0o600
FOLDER_MODE = 0o700
GROUP_READS, OTHERS_READ = 0o040, 0o004


def state_folder() -> Path:
    """The user's state folder: `bulkwriter` in `$XDG_STATE_HOME`, or else in `~/.local/state`.

    Raises `RuntimeError`, with words for people, without a home folder.
    """
    state = os.environ.get("XDG_STATE_HOME", "")
    return at_home(Path(state if state.startswith("/") else "~/.local/state")) / "bulkwriter"


def at_home(path: Path) -> Path:
    """The same with the home folder for `~`.  Raises `RuntimeError` where that is nowhere."""
    found = path.expanduser()
    if path.parts[:1] and path.parts[0].startswith("~") and not found.is_absolute():
        raise RuntimeError(f"HOME is {os.environ.get('HOME', '')!r}, which is no absolute path")
    return found


def make_folder(folder: Path) -> None:
    """Make a folder, and the missing ones above it.  Raises `OSError`."""
    if not folder.is_dir():
        if folder.parent != folder:
            make_folder(folder.parent)
        folder.mkdir(mode=FOLDER_MODE, exist_ok=True)


def keep_private(path: Path, *, chmod: Callable[[Path, int], None] = os.chmod) -> None:
    """Let only its owner read a file that we made, if the file system has modes."""
    with contextlib.suppress(OSError):
        chmod(path, FILE_MODE)


def shown_to(paths: Iterable[Path]) -> list[str]:
    """A sentence for each of these files that others than its owner may read."""
    return [f"{path} {whose(mode)}" for path in paths if (mode := mode_of(path)) & (GROUP_READS | OTHERS_READ)]


def whose(mode: int) -> str:
    who = "everybody on this machine" if mode & OTHERS_READ else "its group"
    return f"can be read by {who} (mode {mode & 0o777:o}): chmod 600 it, or put it where the file system keeps modes"


def mode_of(path: Path) -> int:
    """The mode of a file; 0 if it cannot be seen."""
    try:
        return path.stat().st_mode
    except OSError:
        return 0
