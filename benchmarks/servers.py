"""The servers that benchmarks write to: nginx with a canned reply where it is installed, else the stub.

nginx costs about 10 µs a request, less than any client here, so it is not what is measured.  It answers a list with an
empty page and everything else with the documented envelope around a fresh `Id`.  Clients check ids (bulkwriter doubts
one that it has seen before), so they must be unique, and rising as the real ones are.  nginx has no counter and cannot
pad, but a regular expression can cut fixed widths from a text with zeros put in front:

    Id  =  milliseconds since 1970, 13 digits · last 3 of $connection · last 2 of $connection_requests

Within one millisecond two replies differ in their connection, or else in its count of requests: for a repeat a
connection would have to make 100 requests in a millisecond, or 1,000 be opened.  Within a millisecond ids do not rise.

At `/static` the Id is always the same: wrk, which looks at no reply, gets it there, for nginx saves a µs.

The stub costs two to four times as much as nginx and is slower than bulkwriter on a core of its own: against it only
CPU is worth comparing.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .children import BenchmarkFailed, Cores, bound_to
from .turns import PYTHON, TOKEN

START_S = 10.0
PATH = "/api/content/coursecompletedlessons"
FILES = 16_384
"""Connections, each a file: 1,024 in flight and some over from the run before."""

ENVELOPE = (
    '{"Status":200,"Message":"CourseCompletedLesson was successfully created.","Value":{"Id":%s},"OpenInDialog":false,'
    '"OpenInWindow":false,"RedirectURL":null,"JavaScript":null,"UpdatedOn":"2025-01-15T10:30:00Z",'
    '"UpdatedBy":"admin@example.com","Errors":null,"WasSuccessful":true}'
)
EMPTY_PAGE = (
    '{"Records":[],"CurrentPageSize":1000,"CurrentPage":1,"CurrentOrderField":"Id","CurrentSortDirection":1,'
    '"FirstItem":0,"LastItem":0,"HasNextPage":false,"HasPreviousPage":false,"TotalItems":0,"TotalPages":0}'
)
NGINX_CONF = r"""
daemon off; master_process off; pcre_jit on; pid nginx.pid; error_log stderr warn; worker_rlimit_nofile @FILES@;
events { worker_connections @FILES@; }
http {
    access_log off; default_type application/json; keepalive_timeout 75; keepalive_requests 1000000000;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    map "$msec:00$connection:0$connection_requests" $fresh_id {
        "~^(\d+)\.(\d+):\d*(\d\d\d):\d*(\d\d)$" "$1$2$3$4";
    }
    map $request_method $reply { default '@CREATED@'; GET '@EMPTY_PAGE@'; }
    server {
        listen 127.0.0.1:@PORT@ backlog=4096;
        @TLS@
        location /static { return 200 '@STATIC@'; }
        location / { return 200 $reply; }
    }
}
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server.  `kind` is "nginx" or "stub"; `tls_url` and `ca_file` are "" where it has no TLS."""

    kind: str
    base_url: str
    tls_url: str = ""
    ca_file: str = ""

    @property
    def is_cheap(self) -> bool:
        """Whether the server costs so little that pairs a second are the client's own."""
        return self.kind == "nginx"

    def env(self) -> dict[str, str]:
        return {"BULKWRITER_TOKEN": TOKEN}


def has_nginx() -> bool:
    return shutil.which("nginx") is not None


@contextlib.contextmanager
def cheapest(folder: Path, cores: Cores) -> Iterator[Server]:
    """nginx where it is installed, else the stub."""
    with nginx(folder, cores) if has_nginx() else stub(folder, cores) as server:
        yield server


@contextlib.contextmanager
def nginx(folder: Path, cores: Cores) -> Iterator[Server]:
    """nginx on the servers' core, with TLS on a second port where `trustme` is there to make a certificate."""
    home = folder / "nginx"
    home.mkdir(exist_ok=True)
    port, tls_port = free_ports(2)
    ca_file = make_certificate(home)
    tls = ""
    if ca_file:
        tls = (
            f"listen 127.0.0.1:{tls_port} ssl backlog=4096; ssl_certificate server.pem; ssl_certificate_key server.key;"
        )
    values = {
        "FILES": str(FILES),
        "PORT": str(port),
        "TLS": tls,
        "CREATED": ENVELOPE % "$fresh_id",
        "STATIC": ENVELOPE % "1",
        "EMPTY_PAGE": EMPTY_PAGE,
    }
    text = NGINX_CONF
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    conf = home / "nginx.conf"
    conf.write_text(text, encoding="ascii")
    with bound_to(cores.server), (home / "stderr").open("wb") as said:
        argv = ["nginx", "-p", str(home), "-c", str(conf)]
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=said)
    with ending(process):
        wait_until_it_answers(process, port, home / "stderr")
        yield Server("nginx", f"http://127.0.0.1:{port}", f"https://127.0.0.1:{tls_port}" if tls else "", ca_file)


@contextlib.contextmanager
def stub(folder: Path, cores: Cores, scenario: Mapping[str, Any] | None = None) -> Iterator[Server]:
    """The stub on the servers' core, as a process of its own."""
    file = folder / "scenario.json"
    file.write_text(json.dumps({"tokens": [TOKEN], **(scenario or {})}), encoding="ascii")
    argv = [PYTHON, "-m", "bulkwriter", "stub", "--port", "0", "--json", "--scenario", str(file), "--until-stdin-ends"]
    with bound_to(cores.server), (folder / "stub.stderr").open("wb") as said:
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said)
    with ending(process):
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise BenchmarkFailed(f"the stub did not start: {(folder / 'stub.stderr').read_text()[-500:]}")
        yield Server("stub", json.loads(line)["base_url"])


@contextlib.contextmanager
def ending(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """End the process when the block ends."""
    try:
        yield
    finally:
        process.terminate()
        try:
            process.communicate(timeout=START_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def free_ports(count: int) -> list[int]:
    """Ports that were free just now.  Somebody else may take one before it is used: then the server says so."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def ask(port: int, count: int = 1) -> list[int]:
    """The ids that the server gives to `count` creates on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_S)
    with contextlib.closing(connection):
        found = []
        for _ in range(count):
            connection.request("POST", PATH, body=b"{}")
            found.append(json.loads(connection.getresponse().read())["Value"]["Id"])
        return found


def wait_until_it_answers(
    process: subprocess.Popen[bytes], port: int, said: Path, *, ask: Callable[[int], object] = ask
) -> None:
    """Return when `ask(port)` raises no more `OSError`."""
    deadline = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            ask(port)
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise BenchmarkFailed(f"{said.parent.name} did not start: {said.read_text()[-500:]}")


def make_certificate(home: Path) -> str:
    """A certificate for 127.0.0.1 in `home`; the file of its authority, or "" where trustme is missing."""
    if importlib.util.find_spec("trustme") is None:
        return ""
    subprocess.run([PYTHON, "-m", "trustme", "-q", "-d", str(home), "-i", "127.0.0.1"], check=True)
    return str(home / "client.pem")
