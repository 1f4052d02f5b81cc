"""Why a connection could not be opened: a fault, and words for people.

What the OS, a name server, a certificate or OpenSSL says comes in.  A `ConnectFailure` goes out, and with it the
promise that not a byte of a request was written.  Messages of others are not passed on where they could hold a proxy's
password.

Source: OpenSSL x509_vfy.h for the codes of `TLS_REASONS`; RFC 3493 for what a name server can say.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from ..model import Fault

TLS_REASONS: Final = {
    9: "is not valid yet (is this machine's clock right?)",
    10: "has expired",
    18: "is self-signed",
    19: "is signed by an authority that is not trusted here (--ca-file names others)",
    20: "is signed by an authority that is not known here (--ca-file names others)",
    21: "is signed by an authority that is not known here (--ca-file names others)",
    62: "is for another host name",
    64: "is for another address",
}
"""The fault of a certificate by OpenSSL's verify code."""

NOT_TLS: Final = frozenset(
    {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"}
)
"""OpenSSL's messages, in versions 1.1 to 3.5, for a peer whose first bytes are not TLS."""


class ConnectFailure(Exception):
    """No connection, so nothing was sent.  `detail` names host and port and says why, for people.

    TLS and PROXY faults last until somebody changes a setting.  The others may pass.
    """

    def __init__(self, fault: Fault, detail: str) -> None:
        super().__init__(f"{fault.value}: {detail}")
        self.fault = fault
        self.detail = detail


def explain_tls(reason: str, target: str) -> ConnectFailure:
    """Why no TLS was agreed, by OpenSSL's word for it."""
    if reason in NOT_TLS:
        return ConnectFailure(Fault.TLS, f"{target}: this port does not speak TLS (is it one for http?)")
    said = reason.replace("_", " ").lower()
    return ConnectFailure(Fault.TLS, f"{target}: TLS 1.2 or later could not be agreed: {said}")


def has_route() -> bool:
    """Whether this machine has a route to anywhere.

    Nothing is sent: to connect a datagram socket only asks for the route to a documentation address (RFC 5737, 3849).
    """
    for family, address in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 9))
            return True
    return False


def explain_name(error: OSError, name: str, *, has_network: Callable[[], bool] = has_route) -> ConnectFailure:
    """Why a name was not found.

    Only a name server can say that the name does not exist.  Without a network, or without an answer of a name server
    (EAI_AGAIN, RFC 3493), a later look-up may succeed.
    """
    if error.errno == socket.EAI_AGAIN or not has_network():
        return ConnectFailure(Fault.UNREACHABLE, f"{name}: no name server answers (is there a network?)")
    return ConnectFailure(Fault.NAME, name)


def explain_certificate(error: Exception, target: str) -> str:
    """What is wrong with a server's certificate, in words."""
    code = getattr(error, "verify_code", 0)
    message = getattr(error, "verify_message", "") or "cannot be verified"
    return f"{target}: the certificate {TLS_REASONS.get(code) or f'is refused: {message}'}"


def explain_os_error(error: OSError, target: str) -> ConnectFailure:
    """An OSError while connecting, by its number."""
    match error.errno:
        case errno.ECONNREFUSED:
            return ConnectFailure(Fault.REFUSED, target)
        case errno.ETIMEDOUT:
            return ConnectFailure(Fault.CONNECT_TIMEOUT, target)
        case None:
            return ConnectFailure(Fault.UNREACHABLE, f"{target}: the connection ended before it stood")
        case _:
            # Not strerror: asyncio puts the address into it, in its own notation.
            return ConnectFailure(Fault.UNREACHABLE, f"{target}: {os.strerror(error.errno)}")
