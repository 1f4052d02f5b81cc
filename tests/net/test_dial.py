"""The way to a server without TLS; what a real one may do with connections is in `wire`."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from bulkwriter.errors import UsageError
from bulkwriter.model import Fault
from bulkwriter.net.connect_failures import ConnectFailure
from bulkwriter.net.dial import PlainDialer, check_way, dialer_for
from bulkwriter.net.dial_tls import TlsDialer


def test_the_scheme_chooses_the_way() -> None:
    plain = dialer_for("http://127.0.0.1:1", ca_file=None, proxy="http://p:1", timeout_s=1)
    assert isinstance(plain, PlainDialer)
    assert isinstance(dialer_for("https://127.0.0.1:1", ca_file=None, proxy=None, timeout_s=1), TlsDialer)
    with pytest.raises(UsageError):
        dialer_for("https://api.test", ca_file=None, proxy="nowhere://", timeout_s=1)


@pytest.mark.parametrize(
    ("base_url", "proxy", "ca_text", "is_refused"),
    [
        ("https://api.test", None, None, False),
        ("https://api.test", "http://u:secret@p:1", None, False),
        ("https://api.test", "nowhere://", None, True),
        ("https://api.test", "http://p:99999", None, True),
        ("https://api.test", None, "no certificate", True),
        ("http://127.0.0.1:1", "nowhere://", "no certificate", False),
    ],
)
def test_a_way_that_is_only_checked_is_refused_as_one_that_is_made(
    base_url: str, proxy: str | None, ca_text: str | None, is_refused: bool, tmp_path: Path
) -> None:
    ca_file = None
    if ca_text is not None:
        ca_file = tmp_path / "ca.pem"
        ca_file.write_text(ca_text)

    def refusal(check: Callable[[], object]) -> str | None:
        try:
            check()
        except UsageError as e:
            return f"{e.message} {e.hint}"
        return None

    said = refusal(lambda: check_way(base_url, ca_file=ca_file, proxy=proxy))
    assert said == refusal(lambda: dialer_for(base_url, ca_file=ca_file, proxy=proxy, timeout_s=1))
    assert (said is not None) is is_refused


@pytest.mark.parametrize("greeting", [b"", b"HTTP/1.1 200 OK"])
async def test_a_server_that_spoke_first_is_known_by_it(greeting: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        dialer = PlainDialer(f"http://127.0.0.1:{server.getsockname()[1]}/api", timeout_s=10)
        connection = await dialer.dial()
        peer, _ = server.accept()
        with peer:
            peer.sendall(greeting)
            for _ in range(1_000):  # turns of the loop: what was sent is there in a few
                await asyncio.sleep(0)
                if connection.protocol.should_close:
                    break
            assert connection.protocol.should_close is bool(greeting)
            connection.close()
            assert connection.transport is not None
            assert connection.transport.is_closing()
            await asyncio.sleep(0)
            await dialer.aclose()


async def test_the_next_address_is_tried_and_the_last_failure_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where "localhost" is ::1 and 127.0.0.1, and the server listens on one of them, or on none."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        answers = [["127.0.0.2", "127.0.0.1"], ["127.0.0.2"]]

        async def look_up(*_: object, **options: object) -> list[tuple[object, ...]]:
            return [(0, 0, 0, "", (address, port)) for address in answers.pop(0)]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
        dialer = PlainDialer(f"http://localhost:{port}", timeout_s=10)
        (await dialer.dial()).close()
        await asyncio.sleep(0)
        with pytest.raises(ConnectFailure) as info:
            await dialer.dial()
    assert (info.value.fault, info.value.detail) == (Fault.REFUSED, f"localhost:{port}")


async def test_a_name_server_that_does_not_answer_is_told_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **options: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "?")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", fail)
    with pytest.raises(ConnectFailure) as info:
        await PlainDialer("http://localhost:1", timeout_s=10).dial()
    assert (info.value.fault, info.value.detail.partition(":")[0]) == (Fault.UNREACHABLE, "localhost")
