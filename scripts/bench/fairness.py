"""One bank floods the gateway with lists of a thousand; an insurer asks for one access after the other.

The peer is the flooding bank itself: in a single queue everybody would wait as long as it does.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Final

from scripts.bench.bench import Bench, percentile
from scripts.bench.city import PEOPLE_FOR_ONE_GRANT, FullCity, full_city
from scripts.bench.load import Report
from scripts.bench.results import Line, Part, Sense
from scripts.city.write import NATURAL, Size
from scripts.demo.cast import INSURER

SUBJECT: Final = "fairness"
BLOCK_TIME: Final = 0.1
PEOPLE: Final = 200
OF_INSURER: Final = 20
FLOOD: Final = (8, 1000)
SMALL: Final = (2, 1)
"""Requests in flight, accesses in each."""
_BEFORE: Final = 2.0
"""Seconds for which the flood begins earlier and ends later."""
_MS: Final = 1000.0


def run(bench: Bench) -> None:
    """Measure the insurer alone, then beside the flood."""
    inhabitants = Size((PEOPLE + OF_INSURER) * PEOPLE_FOR_ONE_GRANT, 20, 1, NATURAL)
    with (
        bench.directory(SUBJECT) as home,
        full_city(bench, home / "city", inhabitants, BLOCK_TIME) as city,
    ):
        city.publish()
        city.grant(PEOPLE)
        insurer = city.world.consumer(INSURER)
        granted = city.granted_to(insurer, OF_INSURER, skipped=PEOPLE)

        def small() -> Report:
            workers, size = SMALL
            return city.load_of(insurer, granted, workers=workers, size=size, seconds=bench.seconds)

        alone = small()
        with ThreadPoolExecutor(1) as pool:
            flooding = pool.submit(_flood, city, bench.seconds + 2 * _BEFORE)
            beside, flood = small(), flooding.result()
    _report(bench, alone, beside, flood)


def _flood(city: FullCity, seconds: float) -> Report:
    workers, size = FLOOD
    return city.load(workers=workers, size=size, seconds=seconds)


def _report(bench: Bench, alone: Report, beside: Report, flood: Report) -> None:
    failures = sum(beside.failures.values())
    for part in (0.5, 0.99):
        bench.add(
            Line(
                subject=SUBJECT,
                what=f"a small consumer beside one that floods, latency p{part * 100:.0f}",
                ours=_MS * percentile(beside.latencies, part),
                unit="ms",
                sense=Sense.LESS,
                peer="the flooding one's own",
                theirs=_MS * percentile(flood.latencies, part),
                remark=f"{FLOOD[0]} lists of {FLOOD[1]:,} in flight beside {SMALL[0]} single requests, "
                f"blocks of {BLOCK_TIME:g} s; alone: {_MS * percentile(alone.latencies, part):,.0f} ms. "
                f"{failures} of its requests failed.",
            )
        )
    bench.explain(
        SUBJECT,
        "accesses a second, each opened and checked",
        "accesses/s",
        [
            Part("the small one, alone", alone.accesses / alone.seconds),
            Part("the small one, beside the flood", beside.accesses / beside.seconds),
            Part("the flooding one", flood.accesses / flood.seconds),
        ],
    )
