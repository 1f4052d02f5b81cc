"""What people use instead of bulkwriter, each written as well as its library allows, one small file a library.

A client is an async context manager `posting(url, token, workers)` that gives `post(pair) -> (status, body)`; the loop
around it is shared and does what a careful script does: 64 workers over one iterator, each reply checked.  What such a
script does not do is what bulkwriter is for: no journal, no dedupe, no doubts, no pace, no retry.

A new client is a file here and its name in `CLIENTS`; one whose library is missing is passed over.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Client:
    """A module here: the library it needs, how it is shown, and its share of the benchmark's pairs (slow ones: less).

    `is_own_loop`: the module has its own `write_all(url, token, pairs)`, as people write it.
    """

    module: str
    library: str
    title: str
    share: float
    is_own_loop: bool = False

    @property
    def is_installed(self) -> bool:
        return importlib.util.find_spec(self.library) is not None


CLIENTS = (
    Client("aiohttp_loop", "aiohttp", "aiohttp, ClientSession loop", 0.25),
    Client("aiohttp_gather", "aiohttp", "aiohttp, asyncio.gather as written", 0.05, is_own_loop=True),
    Client("pyreqwest_loop", "pyreqwest", "pyreqwest (Rust)", 0.4),
    Client("rnet_loop", "rnet", "rnet (Rust)", 0.3),
    Client("wreq_loop", "wreq", "wreq (Rust)", 0.4),
    Client("aiosonic_loop", "aiosonic", "aiosonic", 0.1),
    Client("niquests_loop", "niquests", "niquests", 0.01),
    Client("httpx_loop", "httpx", "httpx", 0.005),
)
