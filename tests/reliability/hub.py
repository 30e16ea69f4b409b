"""A server on this machine that speaks as much of the Hugging Face Hub's API as its client asks for in our tests."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

REGULAR_BYTES = 10_000
"""Larger files are sent on their own, before the commit (Git LFS)."""


@dataclass
class Hub:
    """``repositories``: commits by hash, and what branches point to; ``blobs``: large files by SHA-256."""

    repositories: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)
    branches: dict[str, dict[str, str]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    token: str = ""
    """Asked for wherever something is written."""
    url: str = ""

    def commit(self, id: str, files: dict[str, bytes], branch: str = "main") -> str:
        """A commit with exactly these files; its hash."""
        said = json.dumps([id, sorted((name, hashlib.sha256(data).hexdigest()) for name, data in files.items())])
        commit = hashlib.sha1(said.encode()).hexdigest()
        self.repositories.setdefault(id, {})[commit] = files
        self.branches.setdefault(id, {})[branch] = commit
        return commit

    def resolve(self, id: str, revision: str) -> str | None:
        """The commit that a revision of a repository is."""
        commit = self.branches.get(id, {}).get(revision, revision)
        return commit if commit in self.repositories.get(id, {}) else None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: Any) -> None:
        """Nothing on stderr."""

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        if path.startswith("/api/models/") and "/tree/" in path:
            id, _, revision = path.removeprefix("/api/models/").partition("/tree/")
            self._tree(id, revision)
        elif path.startswith("/api/models/"):
            id, _, revision = path.removeprefix("/api/models/").partition("/revision/")
            self._model(id, revision or "main")
        else:
            id, _, rest = path[1:].partition("/resolve/")
            revision, _, name = rest.partition("/")
            self._file(id, revision, name)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"POST {path}")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            return self._json(401, {"error": "Invalid username or password."})
        if path == "/api/repos/create":
            asked = json.loads(body)
            id = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
            if id in self.hub.repositories:
                return self._json(409, {"error": "You already created this model repo", "url": f"{self.hub.url}/{id}"})
            self.hub.commit(id, {".gitattributes": b""})
            return self._json(200, {"url": f"{self.hub.url}/{id}"})
        if path == "/api/validate-yaml":  # of a model card's head
            return self._json(200, {"errors": [], "warnings": []})
        if path.endswith(".git/info/lfs/objects/batch"):
            objects = json.loads(body)["objects"]
            steps = [{**one, "actions": {"upload": {"href": f"{self.hub.url}/blobs/{one['oid']}"}}} for one in objects]
            return self._json(200, {"transfer": "basic", "objects": steps})
        id, what, branch = self._parts(path)
        if what == "preupload":
            modes = [
                {
                    "path": file["path"],
                    "shouldIgnore": False,
                    "uploadMode": "regular" if file["size"] <= REGULAR_BYTES else "lfs",
                }
                for file in json.loads(body)["files"]
            ]
            return self._json(200, {"files": modes})
        if what == "branch":
            self.hub.branches[id][branch] = self.hub.branches[id]["main"]
            return self._json(200, {})
        return self._commit(id, branch, [json.loads(line) for line in body.splitlines()])

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        sha256 = self.path.removeprefix("/blobs/")
        assert hashlib.sha256(data).hexdigest() == sha256
        self.hub.blobs[sha256] = data
        self._answer(200, b"", {})

    @staticmethod
    def _parts(path: str) -> tuple[str, str, str]:
        owner, name, what, *branch = path.removeprefix("/api/models/").split("/")
        return f"{owner}/{name}", what, "/".join(branch)

    def _commit(self, id: str, branch: str, lines: list[dict[str, Any]]) -> None:
        commit = self.hub.resolve(id, branch)
        assert commit is not None
        files = dict(self.hub.repositories[id][commit])
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.blobs[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        new = self.hub.commit(id, files, branch)
        self._json(200, {"commitUrl": f"{self.hub.url}/{id}/commit/{new}", "commitOid": new})

    def _model(self, id: str, revision: str) -> None:
        if id not in self.hub.repositories:
            return self._json(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
        commit = self.hub.resolve(id, revision)
        if commit is None:
            return self._json(404, {"error": "Invalid rev id"}, {"X-Error-Code": "RevisionNotFound"})
        files = self.hub.repositories[id][commit]
        blobs = "blobs" in parse_qs(urlsplit(self.path).query)
        siblings = [{"rfilename": name, **({"size": len(data)} if blobs else {})} for name, data in files.items()]
        return self._json(200, {"id": id, "sha": commit, "siblings": siblings, "private": False, "tags": []})

    def _tree(self, id: str, revision: str) -> None:
        files = self.hub.repositories[id][self.hub.resolve(id, revision) or ""]
        entries = [
            {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
            for name, data in files.items()
        ]
        self._json(200, entries)

    def _file(self, id: str, revision: str, name: str) -> None:
        commit = self.hub.resolve(id, revision)
        if commit is None or name not in self.hub.repositories[id][commit]:
            return self._json(404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound"})
        data = self.hub.repositories[id][commit][name]
        return self._answer(200, data, {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": commit})

    def _json(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        self._answer(status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _answer(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


@contextmanager
def hub_server(token: str = "hf_" + "a" * 34) -> Iterator[Hub]:
    """A running server, its repositories empty."""
    hub = Hub(token=token)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
