"""A hub of one file on this machine, which speaks as much of the hub's protocol as a download needs."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0" * 40


class SmallHub:
    """Serves files of repositories: ``{"owner/name/file": bytes}``; anything else is not found."""

    def __init__(self, files):
        self.files, self.asked = files, []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, body):
                hub.asked.append((self.command, self.path, self.headers.get("Range")))
                path = self.path.lstrip("/").split("?")[0].replace("/resolve/main/", "/")
                content = hub.files.get(path)
                if content is None:
                    code = (
                        "EntryNotFound"
                        if any(k.startswith(path.rsplit("/", 1)[0] + "/") for k in hub.files)
                        else ("RepoNotFound")
                    )
                    self.send_response(404)
                    self.send_header("X-Error-Code", code)
                    self.send_header("X-Repo-Commit", COMMIT)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                start = int((self.headers.get("Range") or "bytes=0-").split("=")[1].split("-")[0])
                self.send_response(206 if start else 200)
                self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
                self.send_header("X-Repo-Commit", COMMIT)
                self.send_header("Content-Length", str(len(content) - start))
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
                self.end_headers()
                if body:
                    self.wfile.write(content[start:])

            def do_HEAD(self):
                self.answer(False)

            def do_GET(self):
                self.answer(True)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # a client that stops is no error
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
