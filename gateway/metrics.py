"""Prometheus metrics. Labels are routes and states, never ids."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

_STATE: Final = {
    "final_block": "Newest final block that the node told of",
    "indexed_block": "Last final block in the index",
    "indexed_block_timestamp_seconds": "Time of that block: stands still with the chain",
    "indexed_accesses": "Accesses in the index: the chain's sequence number",
    "accesses_waiting": "Accesses under way in this process",
    "recorder_queued": "Accesses and relays that wait to be sent",
    "recorder_in_flight": "Transactions sent whose block is not final yet",
    "reconciliation_differences": "What came out differently when lost blocks were brought back",
    "keyholders_ready": "Keyholders that can release now",
    "keyholders_needed": "Keyholders that it takes",
    "last_alert": "Number of the newest alert of the supervision",
    "journal_disk_free_bytes": "Room on the disk of the recorder's journal",
}
"""What is measured when it is asked for."""


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.requests = Histogram(
            "quancheng_request_seconds",
            "Time from the first byte of a request to the last of its answer",
            ("method", "route", "status"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "quancheng_requests_in_flight", "Requests under way", registry=self.registry
        )
        self.problems = Counter(
            "quancheng_problems_total", "Problems answered", ("problem",), registry=self.registry
        )
        self.lines = Counter(
            "quancheng_upload_lines_total", "Lines of uploads stored", registry=self.registry
        )
        self.accesses = Counter(
            "quancheng_accesses_total",
            "Accesses answered, by outcome on chain; none for what was not recorded",
            ("outcome",),
            registry=self.registry,
        )
        self.unreleased = Counter(
            "quancheng_accesses_unreleased_total",
            "Answers to allowed accesses without data; the access is kept, a retry is answered again",
            registry=self.registry,
        )
        self.ready = Gauge(
            "quancheng_ready", "1 for each check that passed", ("check",), registry=self.registry
        )
        self.state = {
            name: Gauge(f"quancheng_{name}", text, registry=self.registry)
            for name, text in _STATE.items()
        }

    def expose(self) -> bytes:
        return generate_latest(self.registry)
