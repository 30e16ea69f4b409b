"""Commands on a device, by the system's OpenSSH client with the user's own configuration and keys."""

import contextlib
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from compress.errors import Unavailable
from compress.recipe.target_parts import Ssh

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


def remote(ssh: Ssh, words: Sequence[str], stdin: "bytes | IO[bytes]", timeout_s: float) -> bytes:
    """What the command ``words`` prints on the device.

    Raises Dropped when the connection fails or nothing came for ``timeout_s``; Unavailable when the device refuses us,
    its host key is not the known one, or the command fails there.
    """
    given: dict[str, Any] = {"input": stdin} if isinstance(stdin, bytes) else {"stdin": stdin}
    options = [part for key, value in OPTIONS.items() for part in ("-o", f"{key}={value}")]
    command = ["ssh", "-T", *options, "--", ssh.host, shlex.join(words)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout_s, **given)
    except FileNotFoundError:
        raise Unavailable("ssh is not installed: install the OpenSSH client") from None
    except subprocess.TimeoutExpired:
        raise ConnectionLoss(f"no answer within {timeout_s:.0f} s") from None
    if done.returncode:
        _failed(ssh, words[0], done.returncode, done.stderr.decode("utf-8", "replace"))
    return bytes(done.stdout)


def _failed(ssh: Ssh, program: str, code: int, text: str) -> None:
    last = " ".join((text.strip().splitlines() or [""])[-1].split())[:200]
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
