"""The faults of processes, messages and clocks. Those of databases are in `scripts.faults.database`."""

import random
import time
from typing import Final

from ledger import failpoints
from ledger.chain.embedded import NodeError
from scripts.faults.campaign import Driver
from scripts.faults.planning import Fault, FaultRunError, Strike
from scripts.faults.proxy import Proxy, Trick
from scripts.faults.stage import Stage
from scripts.processes import START_TIMEOUT

_REACHED: Final = 30.0
"""Seconds within which a failpoint must be reached, or a message come by."""
_POLL: Final = 0.01
_MAX_PASSES: Final = 4
_MAX_HUNG: Final = 7.0
"""Seconds: longer than the gateway's patience with the node, and with an access."""
_FAR: Final = 7200
"""Seconds by which a clock is off at most."""


# Of the gateway


def _killed_at(name: str) -> Strike:
    def strike(stage: Stage, driver: Driver, source: random.Random) -> tuple[float, str]:
        """Let the gateway die when it reaches a step of an access; start it again."""
        del driver
        passes = source.randrange(_MAX_PASSES)
        stage.gateway.order(failpoint=f"{name}:{passes}")
        stage.gateway.wait_for_end(_REACHED)
        struck = time.monotonic()
        stage.gateway.start()
        return struck, f"after {passes} passes"

    return strike


def _gateway_killed(stage: Stage, driver: Driver, source: random.Random) -> tuple[float, str]:
    del driver, source
    struck = time.monotonic()
    stage.gateway.kill()
    stage.gateway.start()
    return struck, ""


def _gateway_ended(stage: Stage, driver: Driver, source: random.Random) -> tuple[float, str]:
    del driver, source
    stage.gateway.stop()
    struck = time.monotonic()  # until then it answers what it has begun
    stage.gateway.start()
    return struck, ""


def _restart_storm(stage: Stage, driver: Driver, source: random.Random) -> tuple[float, str]:
    """Kill the gateway again and again, also while it starts."""
    del driver
    struck, times = time.monotonic(), source.randint(3, 5)
    for _ in range(times):
        stage.gateway.kill()
        stage.gateway.launch()
        time.sleep(source.uniform(0.1, 2.5))
    stage.gateway.wait_until_ready()
    return struck, f"{times} times"


# Of the node


def _node_killed(stage: Stage, driver: Driver, source: random.Random) -> tuple[float, str]:
    """Kill the node, which forgets what it has not written down; start it again."""
    del driver
    before = stage.sequence()
    struck = time.monotonic()
    stage.node.kill()
    time.sleep(source.uniform(0, 1))
    forgot = before - _start_node(stage)
    return struck, f"forgot {forgot} of {before} accesses"


def _node_killed_again(stage: Stage, driver: Driver, source: random.Random) -> tuple[float, str]:
    """Kill the node, and again while the gateway brings back what it forgot."""
    before = stage.sequence()
    struck, note = _node_killed(stage, driver, source)
    time.sleep(source.uniform(0.05, 1.5))
    back = stage.sequence()
    stage.node.kill()
    _start_node(stage)
    return struck, f"{note}, had {back} of {before} when it was killed again"


def _node_ended(stage: Stage, driver: Driver, source: random.Random) -> tuple[float, str]:
    del driver
    before = stage.sequence()
    struck = time.monotonic()
    stage.node.stop()
    time.sleep(source.uniform(0, 1))
    after = _start_node(stage)
    if after < before:
        raise FaultRunError(f"a node that was ended lost {before - after} accesses")
    return struck, ""


def _start_node(stage: Stage) -> int:
    """Start the node; return how many accesses it has."""
    try:
        stage.node.start()
    except NodeError as error:
        raise FaultRunError(f"the node does not start: {error}") from error
    return stage.sequence()


def _both_killed(stage: Stage, driver: Driver, source: random.Random) -> tuple[float, str]:
    """Kill gateway and node at once."""
    del driver
    before = stage.sequence()
    name = source.choice(failpoints.NAMES)
    stage.gateway.order(failpoint=name)
    stage.gateway.wait_for_end(_REACHED)
    struck = time.monotonic()
    stage.node.kill()
    forgot = before - _start_node(stage)
    stage.gateway.start()
    return struck, f"at {name}, forgot {forgot} or more"


def _node_hung(stage: Stage, driver: Driver, source: random.Random) -> tuple[float, str]:
    """Let the node stand still for a while."""
    del driver
    seconds = source.choice((0.5, 2.0, _MAX_HUNG))
    struck = time.monotonic()
    stage.hang_node()
    try:
        time.sleep(seconds)
    finally:
        stage.resume_node()
    return struck, f"for {seconds:.1f} s"


# Of keyholders


def _keyholder_killed(stage: Stage, driver: Driver, source: random.Random) -> tuple[float, str]:
    """Kill one of three keyholders; the others go on without it."""
    struck, number = time.monotonic(), source.randrange(3)
    stage.kill_keyholder(number)
    try:
        driver.wait_until_served(struck)
    finally:
        stage.start_keyholder(number)
    return struck, "served by the other two"


# Of messages


def _played(name: str, trick: Trick) -> Strike:
    def strike(stage: Stage, driver: Driver, source: random.Random) -> tuple[float, str]:
        """Play a trick on the next messages."""
        del driver
        proxy: Proxy = getattr(stage, name)
        count, struck = source.randint(1, 3), time.monotonic()
        proxy.play(trick, count)
        try:
            while proxy.played < count:
                if time.monotonic() > struck + _REACHED:
                    raise FaultRunError(f"{proxy.played} of {count} messages came by")
                time.sleep(_POLL)
        finally:
            proxy.stop_playing()
        return struck, f"{count} messages"

    return strike


# Of clocks


def _clock_jumps(stage: Stage, driver: Driver, source: random.Random) -> tuple[float, str]:
    """Let the gateway's wall clock jump, and back."""
    seconds = source.choice((-_FAR, -90, 90, _FAR))
    struck = time.monotonic()
    stage.gateway.order(clock=seconds)
    try:
        driver.wait_until_served(struck)
        time.sleep(source.uniform(0.2, 1.5))
    finally:
        stage.gateway.order()
    return struck, f"by {seconds:+d} s"


def _started_in_another_time(
    stage: Stage, driver: Driver, source: random.Random
) -> tuple[float, str]:
    """Start the gateway while the clock is wrong; then it is put right."""
    # Not further ahead: what starts sets the embedded chain's clock, which never goes back, and keyholders release
    # nothing of a chain that is more than 60 s ahead of theirs.
    seconds = source.choice((-_FAR, -90, 30))
    struck = time.monotonic()
    stage.gateway.kill()
    stage.gateway.start(clock=seconds)
    driver.wait_until_served(struck)
    stage.gateway.order()
    return struck, f"{seconds:+d} s off"


# Of two gateways


def _twin_started(stage: Stage, driver: Driver, source: random.Random) -> tuple[float, str]:
    """Start the gateway a second time, on the same database and journal: it has to refuse."""
    del source
    struck, twin = time.monotonic(), stage.twin()
    said_before = twin.log.stat().st_size if twin.log.exists() else 0
    twin.launch()
    try:
        driver.wait_until_served(struck)
        twin.wait_for_end(START_TIMEOUT)
    finally:
        twin.stop()
    if b"journal" not in twin.log.read_bytes()[said_before:]:
        raise FaultRunError("a second gateway on the same journal did not say why it refuses")
    return struck, "refused"


def _second_gateway(stage: Stage, driver: Driver, source: random.Random) -> tuple[float, str]:
    """Run a second gateway on the same database, and send every request to both at once for a while."""
    second, proxy = stage.second_gateway(), stage.client_proxy
    struck = time.monotonic()
    second.start()
    how = source.choice(("killed", "ended"))
    proxy.upstreams = (stage.gateway.port, second.port)
    proxy.play(Trick.TWICE, 40)
    try:
        driver.wait_until_served(time.monotonic())
        time.sleep(source.uniform(1, 2))
    finally:
        proxy.stop_playing()
        proxy.upstreams = (stage.gateway.port,)
        second.kill() if how == "killed" else second.stop()
    note = f"{proxy.played} requests to both, then {how}"
    stage.settle_second()
    return struck, note


COMMON: Final = (
    *(Fault(f"gateway killed: {name}", _killed_at(name), 3) for name in failpoints.NAMES),
    Fault("gateway killed", _gateway_killed),
    Fault("gateway ended", _gateway_ended),
    Fault("restart storm", _restart_storm, 1),
    Fault("node killed", _node_killed, 4),
    Fault("node killed again", _node_killed_again),
    Fault("node ended", _node_ended),
    Fault("node hung", _node_hung, 3),
    Fault("node and gateway killed", _both_killed, 3),
    Fault("keyholder killed", _keyholder_killed, 1),
    Fault("node's answer lost", _played("node_proxy", Trick.LOSE), 4),
    Fault("sent to the node twice", _played("node_proxy", Trick.TWICE), 3),
    Fault("gateway's answer lost", _played("client_proxy", Trick.LOSE), 4),
    Fault("sent to the gateway twice", _played("client_proxy", Trick.TWICE), 3),
    Fault("clock jumps", _clock_jumps),
    Fault("started with a wrong clock", _started_in_another_time, 1),
    Fault("gateway started twice", _twin_started, 1),
    Fault("two gateways", _second_gateway, 1),
)
"""Those that do not depend on the kind of database."""
