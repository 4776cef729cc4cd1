"""A service that does what a test says: `python -m tests.support.small_service`.

QUANCHENG_SMALL_PORT: where it answers. QUANCHENG_SMALL_MOOD: `ready`, `busy` (says why it is not ready),
`stubborn` (does not end on SIGTERM). It writes the password's length and its settings to its log.
"""

import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from wallet.passwords import parse_source, read_password


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        busy = os.environ.get("QUANCHENG_SMALL_MOOD") == "busy"
        body = b'{"title": "Not ready", "detail": "the kettle is cold"}' if busy else b"{}"
        self.send_response(503 if busy else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def main() -> int:
    password = read_password(parse_source(os.environ["QUANCHENG_SMALL_PASSWORD"]))
    names = sorted(name for name in os.environ if name.startswith("QUANCHENG_"))
    sys.stderr.write(f"password of {len(password.reveal())} bytes, settings {' '.join(names)}\n")
    if sys.argv[1:] == ["fail"]:
        sys.stderr.write("the milk is sour\n")
        return 3
    mood = os.environ.get("QUANCHENG_SMALL_MOOD", "ready")
    if mood == "broken":
        sys.stderr.write("the milk is sour\n\n")
        return 3
    if mood == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    HTTPServer(("127.0.0.1", int(os.environ["QUANCHENG_SMALL_PORT"])), Handler).serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
