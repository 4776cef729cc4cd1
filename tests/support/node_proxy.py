"""A proxy before a node: it keeps nodes' limits, or lies; what is behind it is the real node."""

import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.support.http_servers import http_server

Answer = dict[str, Any]
Lie = Callable[[str, list[Any], Any], Any]
"""Gets a method, its parameters and the node's result; returns what is answered instead."""


@dataclass
class Limits:
    """What the node behind the proxy does not do."""

    most_blocks: int = 1 << 40
    """In one question for logs."""
    status: int = 200
    """Of the answer that refuses more."""
    body: bytes = (
        b'{"jsonrpc":"2.0","id":0,"error":{"code":-32000,"message":"maximum range exceeded"}}'
    )
    batch: tuple[int, bytes] | None = None
    """Status and body that refuse a batch; None where batches are taken."""
    times: bool = True
    """Whether logs have their blocks' times."""


def honest(method: str, params: list[Any], result: Any) -> Any:
    """Lie nothing."""
    return result


@dataclass
class NodeProxy:
    upstream: str
    limits: Limits = field(default_factory=Limits)
    lie: Lie = honest
    asked: list[int] = field(default_factory=list)
    """Blocks in each question for logs that was answered."""
    refused: int = 0
    url: str = ""

    def answer(self, body: bytes) -> tuple[int, bytes]:
        question = json.loads(body)
        if isinstance(question, list) and self.limits.batch is not None:
            self.refused += 1
            return self.limits.batch
        if isinstance(question, dict) and self._blocks(question) > self.limits.most_blocks:
            self.refused += 1
            return self.limits.status, self.limits.body
        answers = json.loads(self._forward(body))
        if isinstance(question, list):
            found = {answer["id"]: answer for answer in answers}
            told = [self._told(one, found[one["id"]]) for one in question]
            return 200, json.dumps(told).encode()
        return 200, json.dumps(self._told(question, answers)).encode()

    def _told(self, question: Answer, answer: Answer) -> Answer:
        if "result" not in answer:
            return answer
        method, result = question["method"], answer["result"]
        if method == "eth_getLogs":
            self.asked.append(self._blocks(question))
            if not self.limits.times:
                result = [{k: v for k, v in one.items() if k != "blockTimestamp"} for one in result]
        return {**answer, "result": self.lie(method, question["params"], result)}

    def _blocks(self, question: Answer) -> int:
        if question["method"] != "eth_getLogs":
            return 0
        (wanted,) = question["params"]
        return int(wanted["toBlock"], 16) - int(wanted["fromBlock"], 16) + 1

    def _forward(self, body: bytes) -> bytes:
        place = urlsplit(self.upstream)
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
        try:
            connection.request("POST", "/", body, {"content-type": "application/json"})
            return connection.getresponse().read()
        finally:
            connection.close()


@contextmanager
def proxy_before(upstream: str, limits: Limits | None = None) -> Iterator[NodeProxy]:
    proxy = NodeProxy(upstream, limits or Limits())
    with http_server(lambda _, body: proxy.answer(body)) as proxy.url:
        yield proxy
