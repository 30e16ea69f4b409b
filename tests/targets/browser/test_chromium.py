"""The server for pages on loopback: a browser that goes away is not an error, a fault of ours is."""

import socket
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from compress.errors import Unavailable
from compress.targets.browser import chromium
from compress.targets.browser.chromium import Content, Pages, find_browser


def ask(pages: Pages, path: str = "") -> socket.socket:
    """A connection that has asked for ``path`` and has read nothing of the answer."""
    url = urlsplit(pages.url)
    connection = socket.create_connection(("127.0.0.1", int(url.port or 0)))
    connection.sendall(f"GET {url.path}{path} HTTP/1.1\r\nHost: {url.netloc}\r\n\r\n".encode())
    return connection


def reset(connection: socket.socket) -> None:
    """End it as a browser that is killed does: the other end is told that the connection was reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.fixture()
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The server waits for its connections' threads before it ends, so that all that they print is seen."""
    monkeypatch.setattr("compress.targets.browser.chromium._Server.daemon_threads", False)
    yield


def broken(contents: Mapping[str, Content]) -> None:
    with Pages(contents) as pages:
        with ask(pages) as whole:
            assert whole.recv(15) == b"HTTP/1.1 200 OK"
        connection = ask(pages)
        assert connection.recv(15) == b"HTTP/1.1 200 OK"
        time.sleep(0.05)  # its thread waits for the next request of the same connection
        reset(connection)


def test_a_browser_that_closes_its_connection_prints_nothing(threads: None, capfd: pytest.CaptureFixture[str]) -> None:
    broken({"index.html": b"a page"})
    assert capfd.readouterr() == ("", "")


def test_a_fault_of_ours_is_printed(threads: None, capfd: pytest.CaptureFixture[str]) -> None:
    def fault(query: Mapping[str, str]) -> bytes:
        raise KeyError("no such step")

    with Pages({"index.html": fault}) as pages, ask(pages) as connection:
        assert connection.recv(1) == b""
    assert "KeyError: 'no such step'" in capfd.readouterr().err


def test_a_file_that_was_removed_meanwhile_prints_nothing(
    threads: None, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The runtime's files lie in the cache, which any program may clear."""
    with Pages({"runtime.wasm": tmp_path / "gone"}) as pages, ask(pages, "runtime.wasm") as connection:
        assert connection.recv(12) == b"HTTP/1.1 410"
    assert capfd.readouterr() == ("", "")


STRANGE = [
    b"GET /{secret}/ HTTP/1.1\r\nHost: evil.example:{port}\r\n\r\n",
    b"GET /\xc3\xa9\xff/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n",
    b"GET //[::1/{secret}/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n",
    b"GET http://127.0.0.1:{port}/{secret}/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n",
    b"GET /{secret}/../../etc/passwd HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n",
    b"GET /{secret}/nothing?%00=\xff&&&= HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 99999999999999\r\n\r\nx",
    b"POST /{secret}/note HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 99999999999999\r\n\r\nx",
    b"POST /{secret}/note HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: -1\r\n\r\nx",
    b"POST /{secret}/note HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: \xb2\r\n\r\nx",
    b"POST /{secret}/note HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\nx",
]


@pytest.mark.parametrize("answers", [True, False])
@pytest.mark.parametrize("request_", STRANGE)
def test_a_strange_request_is_refused_at_once_and_without_a_word(
    threads: None, answers: bool, request_: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every program of this machine, and every page that its browser shows, can send some."""
    with Pages({"index.html": b"a page"}, answers=answers) as pages:
        url = urlsplit(pages.url)
        known = {b"{secret}": url.path.strip("/").encode(), b"{port}": str(url.port).encode()}
        for place, value in known.items():
            request_ = request_.replace(place, value)
        with socket.create_connection(("127.0.0.1", int(url.port or 0)), timeout=10) as connection:
            connection.sendall(request_)
            assert connection.recv(12) in (b"HTTP/1.1 403", b"HTTP/1.1 404", b"HTTP/1.1 400")
        assert pages.posted.empty()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("answers", [True, False])
def test_only_a_page_that_may_answer_is_heard(answers: bool) -> None:
    with Pages({}, answers=answers) as pages:
        url = urlsplit(pages.url)
        with socket.create_connection(("127.0.0.1", int(url.port or 0)), timeout=10) as connection:
            head = f"POST {url.path}note HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: 2\r\n\r\n"
            connection.sendall(head.encode() + b"ok")
            assert connection.recv(12) == (b"HTTP/1.1 200" if answers else b"HTTP/1.1 404")
        assert pages.posted.empty() != answers


def test_who_opens_many_connections_gets_so_many(threads: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes a thread, and every program of this machine can open some."""
    monkeypatch.setattr(chromium, "MOST", 3)
    with Pages({"index.html": b"a page"}) as pages, ExitStack() as opened:
        place = ("127.0.0.1", int(urlsplit(pages.url).port or 0))
        first, *_ = [opened.enter_context(socket.create_connection(place, timeout=10)) for _ in range(3)]
        for _ in range(5):
            with socket.create_connection(place, timeout=10) as more:
                assert more.recv(1) == b""
        first.close()
        until = time.monotonic() + 10
        while time.monotonic() < until:
            with suppress(ConnectionError), urlopen(pages.url) as answer:
                assert answer.read() == b"a page"
                return
        pytest.fail("a place that became free is not given again")


@pytest.mark.parametrize("answers", [True, False])
def test_a_connection_that_says_nothing_is_closed(
    threads: None, answers: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for that of a page that measures, and has nothing to say meanwhile."""
    monkeypatch.setattr(chromium, "IDLE_S", 0.1)
    with Pages({}, answers=answers) as pages:
        place = ("127.0.0.1", int(urlsplit(pages.url).port or 0))
        with socket.create_connection(place, timeout=1 if answers else 10) as connection:
            if answers:
                with pytest.raises(TimeoutError):
                    connection.recv(1)
            else:
                assert connection.recv(1) == b""


def test_the_user_names_a_browser_by_its_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "own").write_text("")
    (tmp_path / "own").chmod(0o755)
    monkeypatch.setenv("COMPRESS_BROWSER", str(tmp_path / "own"))
    assert find_browser() == str(tmp_path / "own")
    with pytest.raises(Unavailable, match="chromium-x is not installed"):
        find_browser("chromium-x")
