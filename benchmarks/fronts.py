"""What people put in front of a server to limit it: nginx (`limit_req`, `limit_conn`) and HAProxy (a stick table).

Each stands as a proxy of its own in front of a server that limits nothing, with connections kept alive on both sides,
and answers 429 to what it refuses.  `is_there` says whether the program is installed.

Invariant: the process has ended when the block is left.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from .servers import ending, free_ports, wait_until_it_answers

NGINX = """
daemon off; master_process off; pid nginx.pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
    access_log off; keepalive_timeout 75; keepalive_requests 1000000;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    limit_req_zone $server_name zone=rate:1m rate={rate}r/s;
    limit_conn_zone $server_name zone=count:1m;
    limit_req_status 429; limit_conn_status 429;
    upstream behind {{ server {behind}; keepalive 256; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096; server_name front;
        location / {{
            {limit}
            proxy_pass http://behind; proxy_http_version 1.1; proxy_set_header Connection "";
        }}
    }}
}}
"""
HAPROXY = """
global
    log stderr local0 emerg
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    option http-keep-alive
    http-reuse always
frontend front
    bind 127.0.0.1:{port}
    stick-table type integer size 1k expire 10m store http_req_rate({window_s}s)
    http-request track-sc0 int(1)
    http-request {refuse} if {{ sc_http_req_rate(0) gt {count} }}
    default_backend behind
backend behind
    server one {behind}
"""


def is_there(program: str) -> bool:
    return shutil.which(program) is not None


@contextlib.contextmanager
def nginx(folder: Path, base_url: str, limit: str, *, rate: int = 1) -> Iterator[str]:
    """nginx with `limit` in its location; `rate` is that of the zone `rate`.  Yields its base URL."""
    with front(folder, ["nginx", "-p", str(folder), "-c"], NGINX, base_url, limit=limit, rate=rate) as url:
        yield url


@contextlib.contextmanager
def haproxy(folder: Path, base_url: str, *, count: int, window_s: int, stated_s: int = 0) -> Iterator[str]:
    """HAProxy that refuses while its sliding counter is above `count`; refused requests count as well.  It states
    `stated_s` in Retry-After; 0: nothing.
    """
    refuse = f"return status 429 hdr Retry-After {stated_s}" if stated_s else "deny deny_status 429"
    with front(folder, ["haproxy", "-f"], HAPROXY, base_url, count=count, window_s=window_s, refuse=refuse) as url:
        yield url


@contextlib.contextmanager
def front(folder: Path, argv: list[str], text: str, base_url: str, **values: object) -> Iterator[str]:
    folder.mkdir()
    (port,) = free_ports(1)
    conf, said = folder / "front.conf", folder / "stderr"
    conf.write_text(text.format(port=port, behind=urlsplit(base_url).netloc, **values), encoding="ascii")
    with said.open("wb") as file:
        process = subprocess.Popen([*argv, str(conf)], stdin=subprocess.DEVNULL, stderr=file)
    with ending(process):
        wait_until_it_answers(process, port, said, ask=connect)
        yield f"http://127.0.0.1:{port}"


def connect(port: int) -> None:
    socket.create_connection(("127.0.0.1", port)).close()
