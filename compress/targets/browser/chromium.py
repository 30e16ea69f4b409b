"""Pages for a browser: a server, on loopback unless asked otherwise, and a headless Chromium."""

import ipaddress
import json
import os
import queue
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from compress.errors import InputError, Unavailable

PAGES = Path(__file__).parent / "pages"
VARIABLE = "COMPRESS_BROWSER"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
TYPES = {".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css",
         ".wasm": "application/wasm", ".json": "application/json", ".png": "image/png",
         ".txt": "text/plain"}  # fmt: skip
LOOPBACK = "127.0.0.1"
REFUSED = b"This page opens only with the whole address that was printed when it was started.\n"
IDLE_S = 60
"""A connection that says nothing for so long is closed, but for a page's that measures."""
MOST = 64
"""Connections at once, each of which takes a thread; a browser opens six. One more is closed."""
HEADERS = {
    # Without these two, a page has no shared memory, and WebAssembly no threads.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "; ".join((
        "default-src 'none'", "script-src 'self' blob: 'wasm-unsafe-eval'", "worker-src 'self' blob:",
        "connect-src 'self'", "img-src 'self' blob: data:", "style-src 'self'", "base-uri 'none'",
        "form-action 'none'", "frame-ancestors 'none'",
    )),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}  # fmt: skip
FLAGS = (
    *("--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-default-browser-check"),
    *("--disable-extensions", "--disable-sync", "--disable-background-networking", "--disable-component-update"),
    *("--disable-background-timer-throttling", "--disable-renderer-backgrounding", "--no-proxy-server"),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
POLL_S = 0.5

Content = bytes | Path | Callable[[Mapping[str, str]], bytes]
"""What a path gives: bytes, a file, or what a call makes of the query."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *given: Any) -> None:
        self._free = threading.Semaphore(MOST)
        super().__init__(*given)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that closes its connection is not an error; of anything else the traceback is printed, as usual."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Server6(_Server):
    address_family = socket.AF_INET6


class Pages:
    """A server on ``host``, an IP address. Paths begin with a secret, made anew for each server, so that no other page,
    user or device finds them; all else is answered with 403.

    ``posted``: (name, body) of everything that the pages sent back, which ``answers`` allows them.
    Raises InputError for a ``host`` that is not an address, and Unavailable where it cannot be listened on.
    """

    def __init__(
        self, contents: Mapping[str, Content], port: int = 0, *, host: str = LOOPBACK, answers: bool = False
    ) -> None:
        self.posted: queue.Queue[tuple[str, bytes]] = queue.Queue()
        address = address_of(host)
        server = _Server6 if address.version == 6 else _Server
        self._secret = secrets.token_hex(16)
        posted = self.posted if answers else None
        handler = _handler(contents, posted, self._secret, local=address.is_loopback)
        try:
            self._server = server((str(address), port), handler)
        except OSError as error:
            raise Unavailable(
                f"{address} port {port}: cannot be served ({error.strerror}): give another --port or --host"
            ) from None

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        return address_of(str(self._server.server_address[0])).is_loopback

    @property
    def url(self) -> str:
        """Address of the folder of all paths; ends in a slash."""
        host, port = self._server.server_address[:2]
        address = address_of(str(host))
        if address.is_unspecified:
            address = _own_address(address.version)
        return f"http://{f'[{address}]' if address.version == 6 else address}:{port}/{self._secret}/"

    def serve(self) -> None:
        """Serve until interrupted."""
        self._server.serve_forever(POLL_S)

    def __enter__(self) -> "Pages":
        self._thread = threading.Thread(target=self.serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def address_of(host: str) -> "ipaddress.IPv4Address | ipaddress.IPv6Address":
    """The IP address to listen on. Raises InputError for any other text."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        raise InputError(
            f"host (={host}) is not an IP address: give this machine's address on the network, 0.0.0.0 for all of its "
            f"addresses, or {LOOPBACK} for this machine alone"
        ) from None


def _own_address(version: int) -> "ipaddress.IPv4Address | ipaddress.IPv6Address":
    """This machine's address on its network; loopback where it has none. Nothing is sent."""
    family, outside = (socket.AF_INET6, "2001:db8::1") if version == 6 else (socket.AF_INET, "192.0.2.1")
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((outside, 9))  # a datagram socket: only the route is looked up
            return ipaddress.ip_address(probe.getsockname()[0])
        except OSError:
            return ipaddress.ip_address("::1" if version == 6 else LOOPBACK)


def _handler(
    contents: Mapping[str, Content], posted: "queue.Queue[tuple[str, bytes]] | None", secret: str, *, local: bool
) -> type[BaseHTTPRequestHandler]:
    from urllib.parse import parse_qsl

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = IDLE_S if posted is None else None

        def do_GET(self) -> None:
            if (name := self._name()) is None:
                return self._answer(HTTPStatus.FORBIDDEN, REFUSED, ".txt")
            if name not in contents:
                return self._answer(HTTPStatus.NOT_FOUND, b"", "")
            content = contents[name]
            if isinstance(content, Path):
                try:
                    content = content.read_bytes()
                except OSError:  # the cache that it lay in was removed
                    return self._answer(HTTPStatus.GONE, b"", "")
            elif not isinstance(content, bytes):
                try:
                    content = content(dict(parse_qsl(self.path.partition("?")[2])))
                except ValueError:
                    return self._answer(HTTPStatus.BAD_REQUEST, b"", "")
            self._answer(HTTPStatus.OK, content, Path(name).suffix)

        def do_POST(self) -> None:
            if (name := self._name()) is None:
                self.close_connection = True  # with what was sent unread
                return self._answer(HTTPStatus.FORBIDDEN, REFUSED, ".txt")
            length = self.headers.get("Content-Length", "")
            if posted is None or not re.fullmatch(r"[0-9]{1,9}", length):
                self.close_connection = True
                return self._answer(HTTPStatus.NOT_FOUND, b"", "")
            posted.put((name, self.rfile.read(int(length))))
            self._answer(HTTPStatus.OK, b"", "")

        def _name(self) -> str | None:
            """The path below the secret; None for a request that does not know it."""
            first, _, name = self.path.partition("?")[0].removeprefix("/").partition("/")
            known = secrets.compare_digest(first.encode(), secret.encode())
            return name or "index.html" if known and _is_own(self.headers.get("Host", ""), local=local) else None

        def _answer(self, status: HTTPStatus, body: bytes, suffix: str) -> None:
            self.send_response(status)
            kind = TYPES.get(suffix, "application/octet-stream")
            for key, value in {**HEADERS, "Content-Type": kind, "Content-Length": str(len(body))}.items():
                self.send_header(key, value)
            self.end_headers()
            with suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


def _is_own(host: str, *, local: bool) -> bool:
    """Whether a request's ``Host`` is an address: loopback if ``local``, else any.

    A page of another site can give its own name this machine's address (DNS rebinding) and would then read what is
    served here; a name is therefore refused. An address cannot be given away like that.
    """
    from urllib.parse import urlsplit

    try:
        address = ipaddress.ip_address(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False
    return address.is_loopback or not local


def find_browser(program: str | None = None) -> str:
    """Path of ``program``, or of the browser that ``COMPRESS_BROWSER`` names, or of the first Chromium of this machine.

    Raises Unavailable when there is none.
    """
    program = program or os.environ.get(VARIABLE) or None
    for name in (program,) if program else PROGRAMS:
        if path := shutil.which(name):
            return path
    what = f"{program} is not installed" if program else "no Chromium, Chrome or Edge is installed"
    raise Unavailable(f"browser: {what}: install one (Debian: apt-get install chromium)")


@contextmanager
def headless(program: str, url: str) -> "Iterator[subprocess.Popen[bytes]]":
    """A headless Chromium on ``url``, with a profile of its own, which is gone afterwards."""
    # Chromium's sandbox refuses root.
    flags = [*FLAGS, *(["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else [])]
    with tempfile.TemporaryDirectory(prefix="compress-browser-", ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [program, *flags, f"--user-data-dir={profile}", url],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def run_page(
    contents: Mapping[str, Content], program: str, limit_s: float, say: Callable[[str], None]
) -> dict[str, bytes]:
    """Open ``index.html`` of ``contents`` and collect what it posts, by name, until it posts ``done``.

    A JSON document posted as ``note`` is handed to ``say``. Raises Unavailable when the page posts ``failed``, the
    browser ends, or nothing comes for ``limit_s``.
    """
    answers: dict[str, bytes] = {}
    with Pages(contents, answers=True) as pages, headless(program, pages.url) as browser:
        ends = time.monotonic() + limit_s
        while "done" not in answers:
            try:
                name, body = pages.posted.get(timeout=POLL_S)
            except queue.Empty:
                _check_alive(browser, limit_s, late=time.monotonic() > ends)
                continue
            ends = time.monotonic() + limit_s
            if name == "failed":
                raise Unavailable(f"browser: {' '.join(json.loads(body).split())[:300]}")
            if name == "note":
                say(json.loads(body))
            else:
                answers[name] = body
    return answers


def _check_alive(browser: "subprocess.Popen[bytes]", limit_s: float, *, late: bool) -> None:
    if browser.poll() is not None:
        program = str(browser.args[0])  # type: ignore[index]
        raise Unavailable(f"browser: {program} ended with {browser.returncode}: start it by hand once")
    if late:
        raise Unavailable(f"browser: no answer from the page within {limit_s:.0f} s: try again")
