"""Feeds the XML of an office file to expat, block by block, with bounds; and says what is wrong with a file.

No document type is accepted, so no entity can grow or reach another file.  A single tag or attribute may have
`TOKEN_BYTES`; expat would keep a longer one whole.  Text comes in pieces, and its readers bound it.

Invariant: what goes wrong in `zipfile` and `expat` leaves `damages` as a `SourceError` that names the file.  Errors of
ours, and `OSError`s of the disk, pass as what they are.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol
from xml.parsers import expat

from ...errors import SourceError
from ..files import unreadable

BLOCK_BYTES: Final = 65_536
TOKEN_BYTES: Final = 1 << 20
AGAIN: Final = "open it in a spreadsheet and save it again; if it was copied or downloaded, do that again"


class ByteReader(Protocol):
    def read(self, size: int, /) -> bytes: ...


class SpoiledXml(Exception):
    """The XML is not what an office file holds; the text says why."""


def make_parser(
    start: Callable[[str, dict[str, str]], None] | None = None,
    end: Callable[[str], None] | None = None,
    text: Callable[[str], None] | None = None,
) -> expat.XMLParserType:
    """A parser that refuses document types, and tells these of elements and text."""
    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.buffer_text = True
    parser.buffer_size = BLOCK_BYTES
    parser.StartDoctypeDeclHandler = refuse_doctype
    return parser


def refuse_doctype(name: str, system_id: str | None, public_id: str | None, has_subset: bool) -> None:
    raise SpoiledXml("it declares a document type")


def feed(stream: ByteReader, parser: expat.XMLParserType, is_over: Callable[[], bool] | None = None) -> Iterator[int]:
    """Parse all of it, and yield the bytes of each block when its events have come.  `is_over`: the rest is not
    wanted.
    """
    fed = 0
    while block := stream.read(BLOCK_BYTES):
        try:
            parser.Parse(block, False)
        except (ValueError, LookupError) as error:
            if fed:
                raise
            raise SpoiledXml(f"its encoding is unknown: {error}") from error
        fed += len(block)
        if fed - parser.CurrentByteIndex > TOKEN_BYTES:
            raise SpoiledXml("a tag without end")
        yield len(block)
        if is_over and is_over():
            return
    parser.Parse(b"", True)


def local(name: str) -> str:
    """A name without its prefix.  Strict and transitional files have other namespaces and the same local names."""
    return name.rpartition(":")[2]


@contextmanager
def damages(name: str) -> Iterator[None]:
    """Turn what a spoiled file raises into a `SourceError` about `name`."""
    try:
        yield
    except SourceError:
        raise
    except expat.ExpatError as error:
        raise SourceError(f"{name} is damaged: {error}", hint=AGAIN) from error
    except (SpoiledXml, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise SourceError(f"{name} is damaged or was not copied whole: {error}", hint=AGAIN) from error
    except NotImplementedError as error:
        raise SourceError(f"{name} is packed in an unusual way: {error}", hint=AGAIN) from error
    except RuntimeError as error:
        if "password" not in str(error):
            raise
        hint = "remove the password in the program that packed it"
        raise SourceError(f"{name} is a ZIP archive with a password", hint=hint) from error
    except OSError as error:
        raise unreadable(name, error) from error
