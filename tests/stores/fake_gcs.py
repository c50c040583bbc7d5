"""The calls of Google Cloud Storage's XML API that an export uses, in memory."""

from __future__ import annotations

import hashlib
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LAST_MODIFIED = "Thu, 01 Jan 2026 00:00:00 GMT"


class Store:
    """Objects with generations, and uploads in parts."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.objects: dict[str, tuple[bytes, int]] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.generation = 0

    def put(self, name: str, content: bytes) -> int:
        self.generation += 1
        self.objects[name] = (content, self.generation)
        return self.generation


class Handler(BaseHTTPRequestHandler):
    """One request. The bucket is the first part of the path."""

    protocol_version = "HTTP/1.1"
    store = Store()

    def log_message(self, *_: object) -> None:
        """Requests are not logged."""

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def describe(self, content: bytes, generation: int) -> dict[str, str]:
        return {
            "etag": f'"{hashlib.md5(content).hexdigest()}"',
            "x_goog_generation": str(generation),
            "last_modified": LAST_MODIFIED,
        }

    def handle_request(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(url.query, keep_blank_values=True)
        name = urllib.parse.unquote(url.path.lstrip("/").partition("/")[2])
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        with self.store.lock:
            getattr(self, "on_" + self.command.lower())(name, query, body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_request

    def on_get(self, name: str, query: dict[str, list[str]], _: bytes) -> None:
        if not name:
            self.list_objects(query)
        elif name in self.store.objects:
            content, generation = self.store.objects[name]
            self.answer(200, content, **self.describe(content, generation))
        else:
            self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

    on_head = on_get

    def list_objects(self, query: dict[str, list[str]]) -> None:
        prefix = query.get("prefix", [""])[0]
        entries = []
        for name, (content, generation) in sorted(self.store.objects.items()):
            rest = name[len(prefix) :]
            if name.startswith(prefix) and not ("delimiter" in query and "/" in rest):
                etag = self.describe(content, generation)["etag"]
                entries.append(
                    f"<Contents><Key>{name}</Key><Size>{len(content)}</Size><ETag>{etag}</ETag>"
                    "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
                )
        text = "<ListBucketResult><IsTruncated>false</IsTruncated>" + "".join(entries)
        self.answer(200, (text + "</ListBucketResult>").encode())

    def on_put(self, name: str, query: dict[str, list[str]], body: bytes) -> None:
        if "uploadId" in query:
            self.store.uploads[query["uploadId"][0]][int(query["partNumber"][0])] = body
            self.answer(200, etag=f'"{hashlib.md5(body).hexdigest()}"')
            return
        source = self.headers.get("x-goog-copy-source")
        if source:
            source = urllib.parse.unquote(source).lstrip("/").partition("/")[2]
            if source not in self.store.objects:
                self.answer(404)
                return
            body = self.store.objects[source][0]
        expected = self.headers.get("x-goog-if-generation-match")
        found = self.store.objects.get(name, (b"", 0))[1]
        if expected is not None and int(expected) != found:
            self.answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
            return
        self.answer(200, **self.describe(body, self.store.put(name, body)))

    def on_post(self, name: str, query: dict[str, list[str]], _: bytes) -> None:
        if "uploads" in query:
            upload = str(len(self.store.uploads) + 1)
            self.store.uploads[upload] = {}
            text = f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
            self.answer(200, text.encode())
            return
        parts = self.store.uploads.pop(query["uploadId"][0])
        content = b"".join(part for _, part in sorted(parts.items()))
        described = self.describe(content, self.store.put(name, content))
        etag = described["etag"]
        text = f"<CompleteMultipartUploadResult><ETag>{etag}</ETag></CompleteMultipartUploadResult>"
        self.answer(200, text.encode(), **described)

    def on_delete(self, name: str, query: dict[str, list[str]], _: bytes) -> None:
        if "uploadId" in query:
            self.store.uploads.pop(query["uploadId"][0], None)
        else:
            self.store.objects.pop(name, None)
        self.answer(204)


def start() -> ThreadingHTTPServer:
    """Starts the store on a free port of this machine. It ends with the process."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
