"""Clients that sign their requests (RFC 9421), as the parties' tools do."""

import json
import time
from typing import Any

import httpx

from ledger.service.http_signatures import body_digest, sign_request, target_of


class SignedClient:
    """A client of one service; every request is signed by one account."""

    def __init__(self, url: str, chain_id: int, private_key: bytes) -> None:
        self.http = httpx.Client(base_url=url, timeout=30, trust_env=False)
        self._chain_id = chain_id
        self._private_key = private_key

    def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        content_type: str = "application/json",
        created: int | None = None,
        url: str | None = None,
        chain_id: int | None = None,
        digest_of: bytes | None = None,
    ) -> httpx.Response:
        """Send a request; the keyword arguments let a test sign something else than it sends."""
        whole = httpx.URL(url or str(self.http.base_url).rstrip("/") + path)
        headers = sign_request(
            target_of(method, str(whole)),
            body_digest(body if digest_of is None else digest_of),
            self._private_key,
            chain_id=chain_id or self._chain_id,
            created=int(time.time()) if created is None else created,
        )
        sent = dict(headers.pairs())
        if body:
            sent["content-type"] = content_type
        return self.http.request(method, path, content=body or None, headers=sent)

    def get(self, path: str) -> httpx.Response:
        return self.request("GET", path)

    def post(self, path: str, value: Any = None) -> httpx.Response:
        body = b"" if value is None else json.dumps(value).encode()
        return self.request("POST", path, body)

    def close(self) -> None:
        self.http.close()
