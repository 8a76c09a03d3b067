"""A stand-in of the Hugging Face Hub: the requests that its library makes for small files, over HTTP."""

import base64
import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "hf_of_a_test"


class Hub(ThreadingHTTPServer):
    """Models by name, each a mapping of files; who has no token writes nothing."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("localhost", 0), Handler)
        self.models, self.private, self.commits, self.asked = {}, {}, [], []
        self.endpoint = f"http://localhost:{self.server_port}"

    def sha(self, name):
        return hashlib.sha1(repr(sorted(self.models[name].items())).encode()).hexdigest()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append(self.path)
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.reply(401, {"error": "Invalid credentials"})
        if self.path == "/api/validate-yaml":
            return self.reply(200, {"errors": [], "warnings": []})
        if self.path == "/api/repos/create":
            return self.create(json.loads(body))
        _, _, _, owner, name, what, _ = self.path.split("/")
        if what == "preupload":
            files = [file["path"] for file in json.loads(body)["files"]]
            modes = [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in files]
            return self.reply(200, {"files": modes})
        return self.commit(f"{owner}/{name}", [json.loads(line) for line in body.splitlines()])

    def create(self, asked):
        name = f"{asked['organization']}/{asked['name']}"
        if asked["organization"] != "me":
            return self.reply(403, {"error": f"You have no rights in {asked['organization']}"})
        status = 409 if name in self.server.models else 200
        self.server.private.setdefault(name, asked.get("visibility") == "private")
        self.server.models.setdefault(name, {".gitattributes": b"*.safetensors filter=lfs\n"})
        return self.reply(status, {"url": f"{self.server.endpoint}/{name}", "id": name})

    def commit(self, name, lines):
        files = self.server.models[name]
        for line in lines:
            if line["key"] == "file":
                files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            elif line["key"] == "deletedFile":
                del files[line["value"]["path"]]
        self.server.commits.append(next(line["value"] for line in lines if line["key"] == "header"))
        sha = self.server.sha(name)
        url = f"{self.server.endpoint}/{name}/commit/{sha}"
        return self.reply(200, {"success": True, "commitOid": sha, "commitUrl": url})

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        self.server.asked.append(self.path)
        words = self.path.split("/")
        api = words[1] == "api"
        name = "/".join(words[3:5] if api else words[1:3])
        if name not in self.server.models:
            return self.reply(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
        sha, files = self.server.sha(name), self.server.models[name]
        if (revision := words[6] if api and len(words) > 6 else "main") not in ("main", sha):
            said = {"error": f"Invalid rev id: {revision}"}
            return self.reply(404, said, {"X-Error-Code": "RevisionNotFound"})
        if api:
            siblings = [{"rfilename": file} for file in files]
            about = {"id": name, "modelId": name, "sha": sha, "private": self.server.private.get(name, False)}
            return self.reply(200, {**about, "siblings": siblings})
        assert words[4] == sha, "files are asked for by the commit that was looked at"
        content = files["/".join(words[5:])]
        etag = hashlib.sha1(content).hexdigest()
        return self.reply(200, content, {"ETag": f'"{etag}"', "X-Repo-Commit": sha})

    def reply(self, status, content, headers=None):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for key, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        if not isinstance(content, bytes):
            self.send_header("Content-Type", "application/json")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextmanager
def hub():
    """The stand-in, at work in a thread."""
    server = Hub()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
