"""The server for pages on loopback: a browser that goes away is no error, a fault of ours is."""

import socket
import struct
import time
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import pytest

from compress.targets.browser.chromium import Content, Pages


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
