"""Which proxy is used, and whose certificates are trusted; connections themselves are in `wire`."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from bulkwriter.errors import UsageError
from bulkwriter.model import Fault
from bulkwriter.net.connect_failures import NOT_TLS, ConnectFailure, explain_name, explain_tls
from bulkwriter.net.dial_tls import TlsDialer
from bulkwriter.net.https import choose_proxy, make_tls_context
from bulkwriter.shielded import own_task

API = "https://api.test"


@pytest.mark.parametrize(
    ("base_url", "given", "environment", "chosen"),
    [
        (API, None, {}, None),
        (API, "http://p:1", {}, "http://p:1"),
        (API, "p:1", {}, "http://p:1"),
        (API, "https://u:s@p:1", {"HTTPS_PROXY": "http://q:2"}, "https://u:s@p:1"),
        (API, None, {"HTTPS_PROXY": "http://q:2"}, "http://q:2"),
        (API, None, {"https_proxy": "q:2", "HTTPS_PROXY": "http://r:3"}, "http://q:2"),
        (API, None, {"HTTP_PROXY": "http://q:2", "ALL_PROXY": "http://q:2"}, None),
        (API, None, {"HTTPS_PROXY": "http://q:2", "NO_PROXY": "other.test,.test"}, None),
        (API, None, {"HTTPS_PROXY": "http://q:2", "no_proxy": "api.test:443"}, None),
        (API, None, {"HTTPS_PROXY": "http://q:2", "no_proxy": "api.test:444"}, "http://q:2"),
        (API, "http://p:1", {"NO_PROXY": "*"}, "http://p:1"),
        (API, None, {"HTTPS_PROXY": "http://q:2", "NO_PROXY": "*"}, None),
        ("http://127.0.0.1:8", "http://p:1", {"HTTPS_PROXY": "http://q:2"}, None),
        ("https://127.0.0.2", "http://p:1", {"HTTPS_PROXY": "http://q:2"}, None),
        ("https://localhost", "http://p:1", {"HTTPS_PROXY": "http://q:2"}, None),
        ("https://[::1]:8", None, {"HTTPS_PROXY": "http://q:2"}, None),
    ],
)
def test_the_proxy_chosen(
    base_url: str, given: str | None, environment: dict[str, str], chosen: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert choose_proxy(base_url, given) == chosen


@pytest.mark.parametrize(
    ("number", "has_network", "fault"),
    [
        (socket.EAI_NONAME, True, Fault.NAME),  # a wrong name: a setting, exit 4
        (socket.EAI_NONAME, False, Fault.UNREACHABLE),  # macOS says so without a network
        (socket.EAI_AGAIN, True, Fault.UNREACHABLE),  # no name server answers: it may later
        (socket.EAI_AGAIN, False, Fault.UNREACHABLE),
    ],
)
def test_a_name_is_wrong_only_where_somebody_can_know(number: int, has_network: bool, fault: Fault) -> None:
    failure = explain_name(socket.gaierror(number, "?"), "api.test", has_network=lambda: has_network)
    assert failure.fault is fault
    assert failure.detail.startswith("api.test")


@pytest.mark.slow
def test_a_machine_without_a_network_is_no_wrong_setting(tmp_path: Path) -> None:
    """In a network namespace of its own, where the system lets us make one: the run tries until it gives up, 75."""
    (tmp_path / "pairs.csv").write_text("CourseLessonId,CourseMemberId\n1,1\n", encoding="ascii")
    line = ["unshare", "-rn", sys.executable, "-m", "bulkwriter", "run", str(tmp_path / "pairs.csv")]
    if not shutil.which("unshare") or subprocess.run(["unshare", "-rn", "true"], check=False).returncode:
        pytest.skip("no network namespace can be made here")
    env = {**os.environ, "BULKWRITER_TOKEN": "t" * 9}
    how = ["--base-url=https://api.test", "--give-up-after=0.5", "--progress=none"]
    done = subprocess.run([*line, *how], capture_output=True, text=True, timeout=180, env=env, check=False)
    assert done.returncode == 75, done.stderr
    assert "is there a network?" in done.stderr


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        *((reason, "this port does not speak TLS") for reason in sorted(NOT_TLS)),
        ("TLSV1_ALERT_PROTOCOL_VERSION", "TLS 1.2 or later could not be agreed: tlsv1 alert protocol version"),
    ],
)
def test_a_port_without_tls_is_no_matter_of_certificates(reason: str, said: str) -> None:
    failure = explain_tls(reason, "api.test:80")
    assert failure.fault is Fault.TLS
    assert said in failure.detail
    assert "certificate" not in str(failure)


async def test_a_look_up_that_somebody_cancels_is_a_failure_to_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiohttp has a task for it, which a cancel of everything finds; the lane that is opened counts as opening."""

    async def never(*args: object, **options: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", never)
    dialer = TlsDialer("https://localhost:1", ca_file=None, proxy=None, timeout_s=10)
    dialing = own_task(dialer.dial())
    await asyncio.sleep(0.01)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.wait([dialing])
    failure = dialing.exception()
    assert isinstance(failure, ConnectFailure)
    assert (failure.fault, failure.detail) == (Fault.UNREACHABLE, "localhost:1: the look-up was cancelled")
    await dialer.aclose()


@pytest.mark.parametrize(
    "proxy",
    [
        "socks5://p:1",
        "http://:8",
        "http://p:none",
        "http://p:0",
        "http://a%3Ab:x@p:1",
        "http://\u0416:x@p:1",
        "nowhere://",
    ],
)
def test_a_proxy_that_cannot_be_used_is_not_quoted(proxy: str) -> None:
    with pytest.raises(UsageError) as info:
        choose_proxy(API, proxy)
    assert proxy not in str(info.value)


def test_tls_is_verified_and_never_old(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(ca_file))
    for context in (make_tls_context(None), make_tls_context(ca_file)):
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert len(make_tls_context(ca_file).get_ca_certs()) == 1


def test_the_authorities_file_of_the_environment_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ca_file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(ca_file))
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    assert len(make_tls_context(None).get_ca_certs()) == 1


@pytest.mark.parametrize("content", [None, b"", b"not PEM"])
def test_an_authorities_file_that_is_none(content: bytes | None, tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    if content is not None:
        ca_file.write_bytes(content)
    with pytest.raises(UsageError, match=r"ca\.pem"):
        make_tls_context(ca_file)
