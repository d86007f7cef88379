"""One request of the self-test and its result: the answer's data or the failure.

Unlike loaders.tdx.client.client it neither retries nor waits: a self-test shows the present state.
"""

import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from loaders.requests.http import NoAnswerInTime, send
from quotemill.errors import UpstreamError


class NotPassed(Exception):
    """The reason why a check did not pass.

    kind: timeout, connection, http, json, envelope or assertion.
    message: the service's own message.
    """

    def __init__(self, kind: str, detail: str, message: str | None = None) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.message = kind, detail, message


@dataclass
class Answer:
    """An answer as far as it arrived.

    elapsed_ms: from the request to the last byte of the answer.
    """

    elapsed_ms: int = 0
    http_status: int | None = None
    service_code: int | None = None
    service_message: str | None = None
    content: bytes = b""


class Exchange:
    """Requests over one HTTP client.

    limit: seconds that a request may take.
    rate: entered before each request.
    """

    def __init__(
        self, client: httpx.AsyncClient, limit: float, rate: AbstractAsyncContextManager[None]
    ) -> None:
        self._client, self._limit, self._rate = client, limit, rate

    async def ask(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        limit: float | None = None,
        in_envelope: bool = True,
        answer: Answer | None = None,
    ) -> Any:
        """Send a request and return the answer's data. Raises NotPassed.

        params: the query of a GET, the JSON body of a POST.
        answer: filled step by step, so it is of use after a failure too.
        """
        answer = answer if answer is not None else Answer()
        limit, params = limit or self._limit, params or {}
        async with self._rate:
            began = time.monotonic()
        try:
            subject = None if method == "GET" else ""
            response = await send(self._client, method, path, params, limit=limit, subject=subject)
        except NoAnswerInTime:
            raise NotPassed("timeout", f"no complete answer within {limit:g} s") from None
        except UpstreamError as error:
            raise NotPassed("connection", error.with_hint) from None
        finally:
            answer.elapsed_ms = round((time.monotonic() - began) * 1000)
        answer.http_status, answer.content = response.status_code, response.content
        if response.status_code != 200:
            raise NotPassed("http", f"HTTP {response.status_code}")
        if not response.content:
            raise NotPassed("json", "HTTP 200 with an empty body")
        try:
            document = orjson.loads(response.content)
        except orjson.JSONDecodeError as error:
            raise NotPassed("json", f"not JSON: {error}") from None
        return _open_envelope(document, answer) if in_envelope else document


def _open_envelope(document: Any, answer: Answer) -> Any:
    if type(document) is not dict or type(document.get("code")) is not int:
        raise NotPassed("envelope", "no object with a `code`")
    message = document.get("message")
    answer.service_code = document["code"]
    answer.service_message = message if type(message) is str else None
    if answer.service_code != 0:
        said = answer.service_message or ""
        raise NotPassed("envelope", f"code {answer.service_code}: {said}", said)
    if "data" not in document:
        raise NotPassed("envelope", "`data` is missing")
    return document["data"]
