"""What https takes besides a network: which proxy, whose certificates, and whether they can be used at all.

TLS is 1.2 or later and always verified: against the system's authorities (or those of `SSL_CERT_FILE`), or against
those of `ca_file` alone.  The proxy is the given one, else that of HTTPS_PROXY and NO_PROXY (lower case first).
Loopback is never reached through a proxy, whatever the settings say.

`check_https` refuses what a start would refuse, for commands that open no connection.  Nothing here needs aiohttp.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Not `proxy_bypass`: on macOS that takes no proxies, and asks the system's settings.  Typeshed does not know this one.
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

from yarl import URL

from ..errors import UsageError
from ..settings import is_host, is_loopback_host


def check_https(base_url: str, *, ca_file: Path | None, proxy: str | None) -> None:
    """Raise `UsageError` for a URL, a proxy or a CA file that cannot be used.

    The system's own certificates are not read: to do so takes a while and fails nowhere.
    """
    ways_of(base_url, proxy)
    if ca_file is not None:
        make_tls_context(ca_file)


def ways_of(base_url: str, proxy: str | None) -> tuple[URL, URL | None]:
    """The server and the proxy on the way to it, for aiohttp.  Raises `UsageError`."""
    url, chosen = url_of(base_url, "base URL"), choose_proxy(base_url, proxy)
    return url, url_of(chosen, "proxy") if chosen else None


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
