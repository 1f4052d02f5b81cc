"""Opens TLS connections through aiohttp's TCPConnector, and says plainly why one could not be opened.

aiohttp does name look-up, happy eyeballs, TLS and CONNECT proxies.  The connector never pools, queues (`limit=0`) or
sends anything of ours, so a proxy never sees our Authorization header.

Not here: which proxy, and whose certificates (`https`).

Only `dial.dialer_for` and `dial.load_tls` import this module: aiohttp takes 0.15 s.
Source: aiohttp 3.14 connector.py, client_exceptions.py.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
from aiohttp.connector import Connection

from ..guarded import is_cancelled
from ..model import Fault
from .connect_failures import ConnectFailure, explain_certificate, explain_name, explain_os_error, explain_tls
from .https import make_tls_context, ways_of


class TlsDialer:
    """Opens connections to one host, each within `timeout_s` for look-up, TCP, proxy and TLS together."""

    def __init__(self, base_url: str, *, ca_file: Path | None, proxy: str | None, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._url, self._proxy = ways_of(base_url, proxy)
        self._target = f"{self._url.raw_host}:{self._url.port}"
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
