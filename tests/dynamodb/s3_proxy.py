"""A proxy in front of an S3 server, for tests: it counts requests, injects faults by a seed, and reports when an object is written.

It checks of each request what servers for tests do not: that it is signed, and that the hash in its signature is that of its body.
"""
import contextlib
import hashlib
import http.client
import random
import re
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SLOW_DOWN = b"<?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"
SIGNED = re.compile(r"AWS4-HMAC-SHA256 Credential=\S+/s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
                    r"Signature=[0-9a-f]{64}")
YEAR = re.compile(rb"(<LastModified>)\d{4}")


class S3Proxy:
    """What is counted, and what goes wrong. `on_put` is called with the number of each PUT before the server has it."""

    def __init__(self, server, rate=0.0, seed=0):
        self.server, self.rate, self.chance = server, rate, random.Random(seed)
        self.counts, self.faults, self.wrong = Counter(), 0, []
        self.on_put, self.ages = None, False
        self.lock = threading.Lock()

    def fault(self):
        with self.lock:
            fault = self.chance.choice(["slow down", "cut", "lost"]) if self.chance.random() < self.rate else None
            self.faults += fault is not None
            return fault

    def note(self, handler, body):
        """Counts a request; the number of those of its method."""
        head = handler.headers
        told = [head.get("x-amz-content-sha256") == hashlib.sha256(body).hexdigest(), SIGNED.fullmatch(head.get("authorization", ""))]
        with self.lock:
            if not all(told):
                self.wrong.append(f"{handler.command} {handler.path}: {head}")
            self.counts[handler.command] += 1
            return self.counts[handler.command]


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"

    def answer(self):
        proxy = self.server.proxy
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        count = proxy.note(self, body)
        if self.command == "PUT" and proxy.on_put:
            proxy.on_put(count)
        fault = proxy.fault()
        if fault == "slow down":
            return self.send(503, SLOW_DOWN)
        if fault != "cut":
            there = http.client.HTTPConnection(proxy.server)
            there.request(self.command, self.path, body, {"authorization": self.headers["authorization"]})
            answered = there.getresponse()
            status, body = answered.status, answered.read()
        if fault in ("cut", "lost"):
            self.close_connection = True
            return None
        # The age of the objects that a process has left.
        return self.send(status, YEAR.sub(rb"\g<1>2020", body) if proxy.ages else body)

    def send(self, status, body):
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_DELETE = do_HEAD = answer

    def log_message(self, *_):
        pass


class Listening(ThreadingHTTPServer):
    """The proxy's socket. A client may be killed at any time."""

    daemon_threads = True

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextlib.contextmanager
def before(server, **more):
    """A proxy in front of a server, and its address."""
    listening = Listening(("127.0.0.1", 0), Handler)
    listening.proxy = S3Proxy(server, **more)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    try:
        yield listening.proxy, f"127.0.0.1:{listening.server_port}"
    finally:
        listening.shutdown()
        listening.server_close()
