"""A device of one's own: a real sshd on loopback, as the current user, behind a wire that can be cut."""

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest


@dataclass
class Wire:
    """Forwards a port to another. ``cut_after``: bytes from the client after which the connection breaks, once."""

    to: int
    cut_after: int | None = None
    cuts: int = 0
    dead: bool = False
    open: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            if self.dead:
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self.to))
            self.open += [near, far]
            threading.Thread(target=self._copy, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._copy, args=(far, near, False), daemon=True).start()

    def _copy(self, source: socket.socket, to: socket.socket, counted: bool) -> None:
        passed = 0
        with suppress(OSError):
            while data := source.recv(65536):
                to.sendall(data)
                passed += len(data)
                if counted and self.cut_after is not None and passed >= self.cut_after:
                    self.cut_after = None
                    self.cut()
        for end in (source, to):
            end.close()

    def cut(self) -> None:
        """Break every open connection."""
        self.cuts += 1
        for end in self.open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self.open.clear()


@dataclass
class Sshd:
    """``host``: what the target names. ``known``: the client's known_hosts."""

    wire: Wire
    folder: Path
    known: Path
    host: str = "loopback"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    from needs import require
    from programs import find

    require("sshd")
    program = str(find("sshd"))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where Debian's sshd, as root, gives up its rights
    folder = tmp_path_factory.mktemp("sshd")
    for name in ("host", "other", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    shutil.copy(folder / "user.pub", folder / "authorized")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = ["ListenAddress 127.0.0.1", f"Port {port}", f"HostKey {folder}/host", f"PidFile {folder}/pid"]
    settings += [f"AuthorizedKeysFile {folder}/authorized", "StrictModes no", "UsePAM no", "PasswordAuthentication no"]
    settings += ["KbdInteractiveAuthentication no", "MaxStartups 100"]
    (folder / "sshd_config").write_text("\n".join(settings) + "\n")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "-D", "-e", "-f", folder / "sshd_config"], stderr=log)
    try:
        _await(port, process, folder / "log")
        yield port, folder
    finally:
        process.terminate()
        process.wait()


def _await(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            assert process.poll() is None, f"sshd ended: {log.read_text()}"
            time.sleep(0.1)
    pytest.fail(f"sshd does not listen: {log.read_text()}")


@pytest.fixture()
def sshd(server: tuple[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    port, keys = server
    wire, known = Wire(port), tmp_path / "known_hosts"
    known.write_text(f"[127.0.0.1]:{wire.port} {(keys / 'host.pub').read_text()}")
    # OpenSSH reads the configuration of the password file's home, whatever HOME says: name ours.
    config = f"Host loopback\n HostName 127.0.0.1\n Port {wire.port}\n IdentityFile {keys}/user\n IdentitiesOnly yes\n"
    (tmp_path / "config").write_text(f"{config} UserKnownHostsFile {known}\n GlobalKnownHostsFile /dev/null\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {tmp_path}/config "$@"\n')
    (tmp_path / "bin/ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    yield Sshd(wire, keys, known)
    wire.listener.close()
    wire.cut()
