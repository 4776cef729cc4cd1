"""The gateway as a process: its settings from the environment, its socket, its exit status."""

import socket
import sys
from contextlib import suppress

import uvicorn

from gateway.access_settings import AccessSettings
from gateway.app import create_app
from gateway.errors import GatewayError, SettingsError
from gateway.hot_path import HotPath
from gateway.serving import server_config
from gateway.settings import Settings
from ledger.logs import configure_logs, get_logger
from ledger.steady import settle

_BACKLOG = 2048


def main() -> int:
    """Serve until SIGTERM; return the exit status."""
    try:
        settings, access_settings = Settings.read(), AccessSettings.read()
        configure_logs(settings.log_level)
        listening = _listen(settings)
    except (GatewayError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    host, port = listening.getsockname()[:2]
    settings = settings.model_copy(update={"port": port})
    get_logger().info("listening", address=f"http://{host}:{port}")
    sys.setswitchinterval(settings.switch_interval)
    app = create_app(settings, access_settings)
    server = uvicorn.Server(server_config(HotPath(app), settings))
    settle()
    with suppress(SystemExit):  # uvicorn's, when the app does not start
        server.run(sockets=[listening])
    failure: Exception | None = getattr(app.state, "failure", None)
    if failure is not None:
        sys.stderr.write(" ".join(str(failure).split()) + "\n")
    return 0 if server.started else 1


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
    except OSError as error:
        listening.close()
        raise SettingsError(
            f"{settings.host}:{settings.port} cannot be listened on: {error.strerror}"
        ) from error
    listening.listen(_BACKLOG)
    return listening
