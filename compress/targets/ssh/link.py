"""Commands on a device, by the system's OpenSSH client with the user's own configuration and keys."""

import contextlib
import shlex
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from compress.errors import Unavailable
from compress.recipe.target_parts import Ssh
from compress.text import one_line

CONNECT_S, ALIVE_S, ALIVE_COUNT = 15, 5, 3
# Nothing is asked, no unknown or changed host key is taken, whatever the user's configuration says.
OPTIONS = {
    "BatchMode": "yes",
    "StrictHostKeyChecking": "yes",
    "ConnectTimeout": CONNECT_S,
    "ServerAliveInterval": ALIVE_S,
    "ServerAliveCountMax": ALIVE_COUNT,
    "ClearAllForwardings": "yes",
    "ForwardAgent": "no",
    "LogLevel": "ERROR",
}
OF_SSH = 255  # ssh's own exit status when it is ssh that failed
NOT_FOUND = 127
MOST_BYTES = 1 << 20
"""Largest size of an answer, unless more is expected; otherwise a device that prints without end would fill the memory
here.
"""
_CHUNK = 1 << 16
_LINGER_S = 5.0  # ssh's own background connection (ControlPersist) may hold stderr open after ssh has ended
_REFUSED = (
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "its host key has changed: make sure that it is your device, then `ssh-keygen -R` it and log in once",
    ),
    ("Host key verification failed", "its host key is not known here: log in once with `ssh {host}` to check it"),
    ("host key is known", "its host key is not known here: log in once with `ssh {host}` to check it"),
    ("Permission denied", "it refuses the log-in: give it your key, `ssh-copy-id {host}` (passwords are not asked)"),
    ("Too many authentication failures", "it refuses the log-in: name one IdentityFile in ~/.ssh/config"),
)


class ConnectionLoss(Exception):
    """The connection could not be made, or was lost: trying again may help."""


def remote(
    ssh: Ssh, words: Sequence[str], stdin: "bytes | IO[bytes]", timeout_s: float, most: int = MOST_BYTES
) -> bytes:
    """What the command ``words`` prints on the device, at most ``most`` bytes.

    Raises ConnectionLoss when the connection fails or nothing came for ``timeout_s``; Unavailable when the device
    refuses us, its host key is not the known one, the command fails there, or prints more.
    """
    options = [part for key, value in OPTIONS.items() for part in ("-o", f"{key}={value}")]
    command = ["ssh", "-T", *options, "--", ssh.host, shlex.join(words)]
    with contextlib.ExitStack() as stack:
        if isinstance(stdin, bytes):
            feed = stack.enter_context(tempfile.TemporaryFile())
            feed.write(stdin)
            feed.seek(0)
            stdin = feed
        try:
            process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except FileNotFoundError:
            raise Unavailable("ssh is not installed: install the OpenSSH client") from None
        stack.callback(process.wait)
        stack.callback(process.kill)
        return _answer(ssh, words[0], process, timeout_s, most)


def _answer(ssh: Ssh, program: str, process: "subprocess.Popen[bytes]", timeout_s: float, most: int) -> bytes:
    output, errors = _Stream(process.stdout, most, process), _Stream(process.stderr, _CHUNK, process)
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        raise ConnectionLoss(f"no answer within {timeout_s:.0f} s") from None
    text = errors.all().decode("utf-8", "replace")
    said = output.all()
    if output.full or errors.full:
        raise Unavailable(f"{ssh.host}: {program} prints without end there: see that it is a Python")
    if process.returncode:
        _failed(ssh, program, process.returncode, text)
    return said


class _Stream(threading.Thread):
    """Reads what a process prints, and ends it when that is more than ``most`` bytes."""

    def __init__(self, stream: IO[bytes] | None, most: int, process: "subprocess.Popen[bytes]") -> None:
        super().__init__(daemon=True)
        assert stream is not None
        self.stream, self.most, self.process = stream, most, process
        self.read, self.full = bytearray(), False
        self.start()

    def run(self) -> None:
        with self.stream as stream:
            while not self.full and (chunk := stream.read1(_CHUNK)):  # type: ignore[attr-defined]
                self.read += chunk
                self.full = len(self.read) > self.most
        if self.full:
            self.process.kill()

    def all(self) -> bytes:
        """Once the process has ended."""
        self.join(_LINGER_S)
        return bytes(self.read)


def _failed(ssh: Ssh, program: str, code: int, text: str) -> None:
    last = one_line((text.strip().splitlines() or [""])[-1])
    if code == OF_SSH:
        for sign, meaning in _REFUSED:
            if sign in text:
                raise Unavailable(f"{ssh.host}: {meaning.format(host=ssh.host)}")
        raise ConnectionLoss(last or "connection closed")
    if code == NOT_FOUND:
        raise Unavailable(f"{ssh.host}: has no {program}: install it, or name another in the target's ssh.python")
    raise Unavailable(f"{ssh.host}: {program} ended with {code} there ({last or 'no message'})")


def open_at(path: Path, offset: int) -> contextlib.AbstractContextManager[IO[bytes]]:
    """A file whose next byte, for a child process too, is the one at ``offset``."""
    file = path.open("rb", buffering=0)
    file.seek(offset)
    return file
