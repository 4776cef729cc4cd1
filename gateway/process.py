"""The gateway as a process: its settings from the environment, its socket, its exit status."""

import sys

from gateway.access_settings import AccessSettings
from gateway.app import create_app
from gateway.errors import GatewayError
from gateway.settings import Settings
from ledger.errors import LedgerError
from ledger.plain_text import print_problem
from ledger.service.logs import configure_logs, get_logger
from ledger.service.server import listen, serve


def main() -> int:
    """Serve until SIGTERM; return the exit status."""
    try:
        settings, access_settings = Settings.read(), AccessSettings.read()
        configure_logs(settings.log_level)
        listening = listen(settings.host, settings.port)
    except (GatewayError, OSError) as error:
        print_problem(str(error))
        return 1
    host, port = listening.getsockname()[:2]
    settings = settings.model_copy(update={"port": port})
    get_logger().info("listening", address=f"http://{host}:{port}")
    sys.setswitchinterval(settings.switch_interval)
    app = create_app(settings, access_settings)
    try:
        return serve(
            app,
            listening,
            settings.server_limits,
            lambda: getattr(app.state, "failure", None),
        )
    except (GatewayError, LedgerError) as error:
        print_problem(str(error))
        return 1
