"""Files that are not what their names say: a web page called .xlsx, a workbook with a password, a text called .xls.

Programs that offer "export to Excel" often write HTML or CSV and call it .xls or .xlsx.  Excel opens it with a warning,
so people do not know.  A workbook that needs a password to be opened is an encrypted one inside the container of old
Office documents ([MS-OFFCRYPTO], 2.2).

Invariant: the file's position is its beginning again.  Not here: damage within a file of the right kind.
"""

from __future__ import annotations

import io
from typing import Final

from ...errors import SourceError
from ..files import HEAD_BYTES, unknown_format
from ..kinds import GZIP, kind_of

OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
ENCRYPTED: Final = "EncryptedPackage".encode("utf-16-le")
LOOKED_AT: Final = 4 << 20
"""The names in the container stand near its beginning or its end."""


def refuse_other_files(file: io.FileIO, name: str, magic: bytes) -> None:
    """Raise the `SourceError` that fits, unless the file begins with `magic`."""
    head = file.read(max(HEAD_BYTES, len(magic)))
    if head.startswith(OLE) and has_password(file):
        raise SourceError(
            f"{name} is protected with a password",
            hint="save it without one: in Excel by File, Info, Protect Workbook, Encrypt with Password",
        )
    file.seek(0)
    if head.startswith(magic):
        return
    if not head:
        raise SourceError(f"{name} is empty: it has 0 bytes", hint="make or copy the file again")
    kind = kind_of(head)
    if kind is not None:
        raise SourceError(f"{name} is {kind.what}, whatever its name says", hint=kind.hint)
    text = unknown_format(name, head) if is_text(head) else None
    raise SourceError(
        f"{name} is text, whatever its name says" if text else f"{name} is no file of that kind, or is damaged",
        hint=text.hint if text else "make or copy the file again",
    )


def has_password(file: io.FileIO) -> bool:
    """Whether an old container holds an encrypted workbook."""
    size = file.seek(0, io.SEEK_END)
    for at in {0, max(0, size - LOOKED_AT)}:
        file.seek(at)
        if ENCRYPTED in file.read(LOOKED_AT):
            return True
    return False


def is_text(head: bytes) -> bool:
    """Whether these first bytes may be text: no control characters but white space."""
    return not head.startswith(GZIP) and not any(byte < 32 and byte not in b"\t\n\r\f" for byte in head)
