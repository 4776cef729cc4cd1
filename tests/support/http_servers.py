"""Small HTTP servers in threads, for stand-ins that answer as a test says."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler, bytes], tuple[int, bytes]]
"""Gets a request with its body; returns the answer's status and body."""


@contextmanager
def http_server(answer: Answer, connected: Callable[[], None] = lambda: None) -> Iterator[str]:
    """Answer GET and POST until the context ends; `connected` hears of each new connection.

    Yields:
        The server's URL.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet, or each answer takes 40 ms

        def setup(self) -> None:
            connected()
            super().setup()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            status, said = answer(self, body)
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            with suppress(OSError):  # nobody waits for it any more
                self.wfile.write(said)
                self.wfile.flush()

        do_GET = do_POST  # noqa: N815 - the name that http.server looks for

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
