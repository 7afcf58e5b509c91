"""A small OpenAI-compatible server for tests of the cloud: it records what it is asked and answers as it is told to."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "sk-very-secret-0123456789"


def event(**choice) -> bytes:
    return b"data: " + json.dumps({"id": "x", "object": "text_completion", "choices": [{"index": 0, "text": "", **choice}]}
                                  ).encode() + b"\n\n"


class FakeCloud:
    """how: what it does next, in turn; the last one stays. asked: the bodies of all requests; seen: their headers, in small
    letters."""

    def __init__(self, *how: str):
        self.how, self.asked, self.seen, self.lock = list(how or ("ok",)), [], [], threading.Lock()
        self.reply = lambda text: f"echo {text}"
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with fake.lock:
                    fake.asked.append(body)
                    fake.seen.append({name.lower(): value for name, value in self.headers.items()})
                    how = fake.how.pop(0) if len(fake.how) > 1 else fake.how[0]
                self.close_connection = True
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    getattr(fake, "_" + how)(self, body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, kwargs=dict(poll_interval=0.01), daemon=True).start()

    def __enter__(self) -> FakeCloud:
        return self

    def __exit__(self, *_) -> None:
        self.server.shutdown()
        self.server.server_close()

    def texts(self) -> list[str]:
        """Every text that reached it."""
        return [body["prompt"] if "prompt" in body else body["messages"][-1]["content"] for body in self.asked]

    def _head(self, to, status=200, kind="text/event-stream", **headers):
        to.send_response(status)
        to.send_header("content-type", kind)
        to.send_header("connection", "close")
        for name, value in headers.items():
            to.send_header(name.replace("_", "-"), value)
        to.end_headers()

    def _uncounted(self, to, body):
        self._ok(to, body, counted=False)

    def _ok(self, to, body, counted=True):
        text = self.reply(body["prompt"]) if "prompt" in body else None
        if not body.get("stream"):
            whole = {"id": "x", "object": "text_completion", "choices": [{"index": 0, "text": text, "finish_reason": "stop"}]}
            usage = {"usage": {"prompt_tokens": 7, "completion_tokens": len(text)}} if counted else {}
            self._head(to, kind="application/json")
            to.wfile.write(json.dumps(whole | usage).encode())
            return
        self._head(to)
        if text is None:
            for delta, end in (({"content": "hel"}, None), ({"content": "lo"}, None), ({}, "stop")):
                part = {"choices": [{"index": 0, "delta": delta, "finish_reason": end}]}
                to.wfile.write(b"data: " + json.dumps(part).encode() + b"\n\n")
        else:
            for letter in text:
                to.wfile.write(event(text=letter, finish_reason=None))
            to.wfile.write(event(finish_reason="stop"))
            usage = {"prompt_tokens": 7, "completion_tokens": len(text), "total_tokens": 7 + len(text)}
            if counted:
                to.wfile.write(b"data: " + json.dumps({"id": "x", "choices": [], "usage": usage}).encode() + b"\n\n")
        to.wfile.write(b"data: [DONE]\n\n")

    def _slow(self, to, body):
        time.sleep(0.6)
        self._ok(to, body)

    def _drip(self, to, body):
        self._head(to)
        for _ in range(40):
            to.wfile.write(event(text="x", finish_reason=None))
            time.sleep(0.05)

    def _page(self, to, body):
        self._head(to, kind="text/html")
        to.wfile.write(b"<html>please log in</html>")

    def _noise(self, to, body):
        self._head(to)
        to.wfile.write(b"data: {\x00\xff]\n\n")

    def _other(self, to, body):
        self._head(to)
        to.wfile.write(b'data: {"surprise": [1, 2]}\n\n')

    def _no_http(self, to, body):
        to.wfile.write(b"\x16\x03\x01 this is no HTTP\r\n\r\n")

    def _hang_up(self, to, body):
        pass

    def _cut(self, to, body):
        """The connection is gone in the middle of a part."""
        self._head(to, content_length="100000")
        to.wfile.write(event(text="half an ans", finish_reason=None) + b"data: {\"cho")
        to.wfile.flush()
        to.connection.shutdown(socket.SHUT_RDWR)

    def _short(self, to, body):
        """The stream closes as it should, without the answer's end."""
        self._head(to)
        to.wfile.write(event(text="half an ans", finish_reason=None))

    def _filtered(self, to, body):
        self._head(to)
        to.wfile.write(event(text="no", finish_reason="content_filter") + b"data: [DONE]\n\n")

    def _broken(self, to, body):
        self._head(to)
        to.wfile.write(event(text="a", finish_reason=None) + b'data: {"error": {"message": "out of memory"}}\n\n')

    def _status(self, to, status, **headers):
        """The key comes back in the words, as some endpoints do it."""
        said = json.dumps({"error": {"message": f"key {KEY} is of no use", "type": "x"}}).encode()
        self._head(to, status, "application/json", content_length=str(len(said)), **headers)
        to.wfile.write(said)

    def _400(self, to, body):
        self._status(to, 400)

    def _401(self, to, body):
        self._status(to, 401)

    def _429(self, to, body):
        self._status(to, 429, Retry_After="0.25")

    def _429_long(self, to, body):
        self._status(to, 429, Retry_After="3600")

    def _500(self, to, body):
        self._status(to, 500)
