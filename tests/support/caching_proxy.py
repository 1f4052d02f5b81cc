"""Gateways that keep GETs for minutes whatever `Cache-Control: no-cache` says: one in this process, and a real nginx.

`CachingProxy` keeps replies by their address.  With `passes_over_nonce` the changing parameter does not count, which no
client can do anything about; with `tells_age` it says for how long it has kept what it answers with (RFC 9111, 5.1).
A request that its server loses is lost by it too: the connection ends without a reply.
"""

from __future__ import annotations

import http.client
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

NGINX_CONF = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  proxy_cache_path {folder}/cache keys_zone=lists:1m;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://{upstream};
      proxy_cache lists; proxy_cache_valid 200 300s; proxy_ignore_headers Cache-Control Expires Set-Cookie Vary;
      proxy_next_upstream off;
    }}
  }}
}}
"""


class CachingProxy:
    """In front of `upstream`, from `with` on; `hits` counts what it answered by itself."""

    def __init__(self, upstream: str, *, passes_over_nonce: bool = False, tells_age: bool = False) -> None:
        self.hits = 0
        kept: dict[str, tuple[float, int, bytes]] = {}
        proxy, host = self, urlsplit(upstream).netloc

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                key = re.sub(r"[&?]_=[^&]*", "", self.path) if passes_over_nonce else self.path
                age_s = 0.0
                if key in kept:
                    proxy.hits += 1
                    age_s = 30 + time.monotonic() - kept[key][0]
                elif (answer := self.ask(b"")) is not None:
                    kept[key] = (time.monotonic(), *answer)
                else:
                    return
                self.answer(*kept[key][1:], age_s)

            def do_POST(self) -> None:
                answer = self.ask(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
                if answer is not None:
                    self.answer(*answer, 0.0)

            do_DELETE = do_POST

            def ask(self, body: bytes) -> tuple[int, bytes] | None:
                upstream = http.client.HTTPConnection(host, timeout=30)
                try:
                    upstream.request(self.command, self.path, body or None, dict(self.headers.items()))
                    reply = upstream.getresponse()
                    return reply.status, reply.read()
                except (OSError, http.client.HTTPException):
                    self.close_connection = True
                    return None
                finally:
                    upstream.close()

            def answer(self, status: int, body: bytes, age_s: float) -> None:
                self.send_response(status)
                if age_s and tells_age:
                    self.send_header("Age", f"{age_s:.0f}")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> CachingProxy:
        self._thread = threading.Thread(target=self._server.serve_forever, name="caching proxy")
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def nginx() -> str | None:
    """Where nginx is, or None."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


@contextmanager
def caching_nginx(upstream: str, folder: Path) -> Iterator[str]:
    """A real nginx with `proxy_cache` in front of `upstream`; its base URL."""
    binary = nginx()
    assert binary
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = folder / "nginx.conf"
    config.write_text(NGINX_CONF.format(folder=folder, port=port, upstream=urlsplit(upstream).netloc))
    process = subprocess.Popen([binary, "-p", str(folder), "-c", str(config)], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()
