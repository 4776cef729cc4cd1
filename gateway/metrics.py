"""Prometheus metrics. Labels are routes and states, never ids."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """One app's metrics, in a registry of its own."""

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
        self.ready = Gauge(
            "quancheng_ready", "1 for each check that passed", ("check",), registry=self.registry
        )
        self.indexed_block = Gauge(
            "quancheng_indexed_block", "Last final block in the index", registry=self.registry
        )
        self.indexed_accesses = Gauge(
            "quancheng_indexed_accesses", "Accesses in the index", registry=self.registry
        )

    def expose(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)
