"""(f) The bare web server: an async route that does nothing, on the gateway's server stack.

`python -m scripts.bench.baselines.bare_server` listens on a free port, prints it, and serves until it
is asked to end. The server has the gateway's settings (`gateway.app`).
"""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import uvicorn
from fastapi import FastAPI, Request, Response

_BACKLOG: Final = 2048
_ANSWER: Final = b"x" * 2048


def make_app() -> FastAPI:
    """Return an application with one route, which reads the body and answers with 2 kB."""
    app = FastAPI(openapi_url=None)

    @app.post("/")
    async def nothing(request: Request) -> Response:
        await request.body()
        return Response(_ANSWER, media_type="application/json")

    return app


@dataclass(frozen=True, slots=True)
class Running:
    """A bare server that runs: where, as which process, and after how many seconds it did."""

    url: str
    pid: int
    seconds: float


@contextmanager
def bare_server() -> Iterator[Running]:
    """Run the server in a process of its own until the context ends."""
    began = time.perf_counter()
    arguments = [sys.executable, "-m", "scripts.bench.baselines.bare_server"]
    server = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    try:
        port = int(server.stdout.readline()) if server.stdout is not None else 0
        yield Running(f"http://127.0.0.1:{port}/", server.pid, time.perf_counter() - began)
    finally:
        server.terminate()
        server.wait()


def main() -> int:
    """Serve until SIGTERM."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
    print(listening.getsockname()[1], flush=True)
    server = uvicorn.Server(
        uvicorn.Config(
            make_app(),
            log_config=None,
            proxy_headers=False,
            access_log=False,
            server_header=False,
            date_header=False,
        )
    )
    server.run(sockets=[listening])
    return 0


if __name__ == "__main__":
    sys.exit(main())
