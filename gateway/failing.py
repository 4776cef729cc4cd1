"""What nobody expected: the log says what it was, the caller only under which number to look there."""

import secrets

from gateway.problems import INTERNAL, Problem
from ledger.logs import describe, get_logger

_log = get_logger()


def note_failure(error: BaseException, route: str) -> Problem:
    """Log an error and return the problem that it becomes.

    Args:
        error: Its type and place are logged, not its text, which may hold what was sent.
        route: Template of the path, without ids.
    """
    number = secrets.token_hex(5)
    _log.error("failed", error=describe(error), route=route, request=number)
    told = f"the gateway has failed; its log says why, under request {number}"
    return Problem(INTERNAL, told, {"instance": f"urn:quancheng:request:{number}"})
