"""Opens TLS connections through aiohttp's TCPConnector, and says plainly why one could not be opened.

aiohttp does name look-up, happy eyeballs, TLS and CONNECT proxies.  The connector never pools, queues (`limit=0`) or
sends anything of ours, so a proxy never sees our Authorization header.

TLS is 1.2 or later and always verified: against the system's authorities (or those of `SSL_CERT_FILE`), or against
those of `ca_file` alone.  The proxy is the given one, else that of HTTPS_PROXY and NO_PROXY (lower case first).
Loopback is never reached through a proxy, whatever the settings say.

Only `dial.dialer_for` and `dial.load_tls` import this module: aiohttp takes 0.15 s.
Source: aiohttp 3.14 connector.py, client_exceptions.py.
"""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Not `proxy_bypass`: on macOS that takes no proxies, and asks the system's settings.  Typeshed does not know this one.
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

import aiohttp
from aiohttp.connector import Connection
from yarl import URL

from ..errors import UsageError
from ..guarded import is_cancelled
from ..model import Fault
from ..settings import is_host, is_loopback_host
from .connect_failures import ConnectFailure, explain_certificate, explain_name, explain_os_error, explain_tls


class TlsDialer:
    """Opens connections to one host, each within `timeout_s` for look-up, TCP, proxy and TLS together."""

    def __init__(self, base_url: str, *, ca_file: Path | None, proxy: str | None, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._url = url_of(base_url, "base URL")
        self._target = f"{self._url.raw_host}:{self._url.port}"
        chosen = choose_proxy(base_url, proxy)
        self._proxy = url_of(chosen, "proxy") if chosen else None
        self._tls = make_tls_context(ca_file)
        self._connector: aiohttp.TCPConnector | None = None

    async def dial(self) -> Connection:
        """Open one connection.  Safe to cancel."""
        if self._connector is None:
            self._connector = aiohttp.TCPConnector(limit=0, resolver=aiohttp.ThreadedResolver())
        request = aiohttp.ClientRequest(
            "GET",
            self._url,
            ssl=self._tls,
            proxy=self._proxy,
            loop=asyncio.get_running_loop(),
        )
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._connector.connect(request, [], aiohttp.ClientTimeout())
        except (aiohttp.ClientError, OSError) as e:
            raise self._explain(e) from None
        except RuntimeError as e:  # names are looked up in a thread, and there may be no room for it now
            raise ConnectFailure(Fault.UNREACHABLE, f"{self._target}: {e}") from None
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            # aiohttp looks names up in a task of its own, which a cancel of everything reaches, and this one may not.
            raise ConnectFailure(Fault.UNREACHABLE, f"{self._target}: the look-up was cancelled") from None

    async def aclose(self) -> None:
        if self._connector is not None:
            await self._connector.close()

    def _explain(self, error: Exception) -> ConnectFailure:
        target = self._target
        match error:
            case aiohttp.ClientHttpProxyError():
                return self._explain_proxy(error.status)
            case aiohttp.ClientResponseError():
                return ConnectFailure(Fault.PROXY, f"{self._proxy_name()} does not answer in HTTP")
            case aiohttp.ClientConnectorCertificateError():
                return ConnectFailure(Fault.TLS, explain_certificate(error.certificate_error, target))
            case aiohttp.ClientConnectorSSLError():
                return explain_tls(getattr(error.os_error, "reason", None) or "", target)
            case aiohttp.ClientConnectorDNSError():
                is_proxy = self._proxy is not None and error.host == self._proxy.raw_host
                return explain_name(error.os_error, f"{error.host} (the proxy)" if is_proxy else error.host)
            case aiohttp.ClientProxyConnectionError():
                return explain_os_error(error.os_error, self._proxy_name())
            case aiohttp.ClientConnectorError():
                return explain_os_error(error.os_error, target)
            case TimeoutError():
                return ConnectFailure(Fault.CONNECT_TIMEOUT, f"{target}, {self._timeout_s:g} s")
            case aiohttp.InvalidURL():
                return ConnectFailure(Fault.NAME, f"{target}: {error.description or 'not a host name'}")
            case _ if self._proxy is not None:
                return ConnectFailure(Fault.UNREACHABLE, f"{self._proxy_name()} hung up")
            case _:
                return ConnectFailure(Fault.UNREACHABLE, f"{target}: {type(error).__name__}")

    def _explain_proxy(self, status: int) -> ConnectFailure:
        name = self._proxy_name()
        if status == 407:
            return ConnectFailure(Fault.PROXY, f"{name} wants a user name and password, or others (407)")
        if status >= 500:  # the proxy did not reach the host either: that may pass
            return ConnectFailure(Fault.UNREACHABLE, f"{name} cannot reach {self._target} ({status})")
        return ConnectFailure(Fault.PROXY, f"{name} answered {status}")

    def _proxy_name(self) -> str:
        return f"proxy {self._proxy.raw_host}:{self._proxy.port}" if self._proxy else "proxy"


def url_of(text: str, what: str) -> URL:
    """The URL for aiohttp.  Raises `UsageError` without the text, which may hold a password."""
    try:
        return URL(text)
    except ValueError:  # it refuses a little more than urlsplit does
        raise UsageError(f"the {what} is not a URL", hint="see --base-url, --proxy and HTTPS_PROXY") from None


def choose_proxy(base_url: str, proxy: str | None) -> str | None:
    """The proxy to tunnel through, or None: the given one, else the environment's.  None for loopback."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if parts.scheme != "https" or is_loopback_host(host):
        return None
    if proxy is None:
        proxies = getproxies_environment()
        proxy = proxies.get("https")
        if not proxy or proxy_bypass_environment(f"{host}:{parts.port or 443}", proxies):
            return None
    if "://" not in proxy:
        proxy = "http://" + proxy
    if not is_proxy_url(proxy):  # not quoted: it may hold a password
        raise UsageError("the proxy is not like http://[USER:PASSWORD@]HOST:PORT", hint="see --proxy and HTTPS_PROXY")
    return proxy


def is_proxy_url(url: str) -> bool:
    """Whether it names an http(s) proxy, with a user that Basic authentication can carry (RFC 7617: no colon)."""
    try:
        parts = urlsplit(url)
        user = unquote(parts.username or "")
        (user + unquote(parts.password or "")).encode("latin-1")
        return (
            parts.scheme in ("http", "https") and is_host(parts.hostname or "") and parts.port != 0 and ":" not in user
        )
    except ValueError:
        return False


def make_tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Verifying, TLS 1.2 or later, HTTP/1.1 only; reads files, so it is made once, before any connection."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as e:
        reason = "no certificate in it" if isinstance(e, ssl.SSLError) else e.strerror
        raise UsageError(f"CA file {ca_file}: {reason}", hint="--ca-file wants a PEM file of certificates") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context
