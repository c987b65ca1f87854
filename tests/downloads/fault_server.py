"""A file server on the loopback address that errs as it is told, one instruction per request.

`answers` is a list of dicts; each request takes the next, and when they are used up the server is healthy. Keys:

status, content_type, headers   of the answer, instead of 200, application/octet-stream and none
body        bytes to serve instead of the file; version: bytes that are another version of it, with other ETag
send        stop after so many bytes of the body (a share below 1, or a count), closing the connection
length      the Content-Length that is claimed; "none" leaves it out; "+9" or "-9" is off by so many
etag        "strong" (default), "weak" or "none"; modified: a Last-Modified header or None
ranges      "honour" (default), "ignore", "shifted", "other total", "no header", "416", "unchecked" (If-Range is not
            looked at), "multipart", "short" (a shorter section than was asked for)
chunked     True, or "cut": no last chunk
wait        seconds before the answer; trickle: seconds between single bytes
drop        "before the answer" or "garbage": no HTTP at all
redirect    the Location to send; "{base}" is this server
"""

from __future__ import annotations

import hashlib
import re
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FaultServer:
    """Serves one file at every path. requests: (path, headers) of each request so far."""

    def __init__(self) -> None:
        self.content = b""
        self.answers: list[dict] = []
        self.by_path: dict[str, list[dict]] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.stopping = threading.Event()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 5

            def do_GET(self) -> None:
                owner.answer(self)

            def log_message(self, *arguments) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address) -> None:
                pass  # clients that give up are part of the tests

        self.server = Server(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.stopping.set()
        self.server.shutdown()
        self.server.server_close()

    def reset(self, content: bytes, answers: list[dict] = (), by_path: dict[str, list[dict]] | None = None) -> None:
        self.content, self.answers, self.requests = content, list(answers), []
        self.by_path = {path: list(answers) for path, answers in (by_path or {}).items()}

    def ranges_asked(self) -> list[str | None]:
        return [headers.get("range") for _, headers in self.requests]

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        asked = {key.lower(): value for key, value in handler.headers.items()}
        self.requests.append((handler.path, asked))
        queue = self.by_path.get(handler.path, self.answers)
        plan = {} if not queue else queue[0] if queue[0].get("always") else queue.pop(0)
        self.stopping.wait(plan.get("wait", 0))
        if plan.get("drop") == "before the answer":
            # A reset instead of an orderly end.
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.connection.close()
            return
        if plan.get("drop") == "garbage":
            handler.wfile.write(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
            return
        if "redirect" in plan:
            handler.send_response(plan.get("status", 302))
            handler.send_header("Location", plan["redirect"].replace("{base}", self.base))
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        self.send(handler, plan, asked)

    def send(self, handler: BaseHTTPRequestHandler, plan: dict, asked: dict[str, str]) -> None:
        whole = plan.get("body", plan.get("version", self.content))
        if isinstance(whole, str):
            whole = whole.replace("{base}", self.base).encode()
        etag = '"' + hashlib.sha256(whole).hexdigest()[:16] + '"'
        etag = {"strong": etag, "weak": "W/" + etag, "none": None}[plan.get("etag", "strong")]
        modified = plan.get("modified")
        how = plan.get("ranges", "honour")
        status, body, headers = plan.get("status", 200), whole, dict(plan.get("headers", {}))
        wanted = re.fullmatch(r"bytes=(\d+)-", asked.get("range", ""))
        unchanged = asked.get("if-range") in (None, etag, modified) or how == "unchecked"
        if wanted and status == 200 and how != "ignore" and unchanged:
            first = int(wanted[1]) + (7 if how == "shifted" else 0)
            total = len(whole) + (5 if how == "other total" else 0)
            if how == "416" or first >= len(whole):
                status, body = 416, b""
                headers["Content-Range"] = f"bytes */{total}"
            else:
                status, body = 206, whole[first : first + 20] if how == "short" else whole[first:]
                if how == "multipart":
                    headers["Content-Type"] = "multipart/byteranges; boundary=x"
                elif how != "no header":
                    headers["Content-Range"] = f"bytes {first}-{first + len(body) - 1}/{total}"
        handler.send_response(status)
        headers.setdefault("Content-Type", plan.get("content_type", "application/octet-stream"))
        if etag:
            headers["ETag"] = etag
        if modified:
            headers["Last-Modified"] = modified
        length = str(plan.get("length", ""))
        if plan.get("chunked"):
            headers["Transfer-Encoding"] = "chunked"
        elif length != "none":
            off = int(length) if length[:1] in ("", "+", "-") and length else 0
            headers["Content-Length"] = length if length and length[0] not in "+-" else str(len(body) + off)
        for key, value in headers.items():
            handler.send_header(key, value)
        handler.end_headers()
        send = plan.get("send", len(body))
        body = body[: int(send * len(body)) if isinstance(send, float) else send]
        if plan.get("chunked"):
            for k in range(0, len(body), 100):
                piece = body[k : k + 100]
                handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            handler.wfile.write(b"64\r\ncut" if plan["chunked"] == "cut" else b"0\r\n\r\n")
        elif plan.get("trickle"):
            for k in range(len(body)):
                handler.wfile.write(body[k : k + 1])
                time.sleep(plan["trickle"])
                if self.stopping.is_set():
                    return
        else:
            handler.wfile.write(body)
