"""One POST of JSON to the operator's webhook: bounded in time, retried where that helps, its URL never logged.

Unlike the URLs of imports, this one is the operator's own and may be internal. Redirects are not followed: they would
pass a message, and any secret in its URL, to another host. Messages are built in `pipeline.alerting.messages`.
"""

from __future__ import annotations

import logging
from typing import Any, Final

import httpx
import orjson
from pydantic import SecretStr
from tenacity import Retrying, retry_if_exception, stop_after_attempt, stop_after_delay, wait_exponential_jitter

from trr_pipelines.errors import NotDeliveredError

TIMEOUT: Final = httpx.Timeout(10.0, connect=5.0)
# No attempt starts after this time: the caller is a sensor, which ticks again.
RETRY_SECONDS: Final = 5.0
ATTEMPTS: Final = 3
_RETRYABLE: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


def post_json(url: SecretStr, payload: dict[str, Any], *, key: str) -> None:
    """Send `payload`; `key` is its `Idempotency-Key`, the same each time the same message is sent.

    5 s to connect, 10 s for the response head; the body is not read. Any 2xx counts as delivered. Raises
    NotDeliveredError.
    """
    logging.getLogger("httpx").setLevel(logging.WARNING)  # at INFO it logs the URL of each request
    headers = {
        "User-Agent": "trr-pipelines/0.1 (alerts)",
        "Content-Type": "application/json",
        "Idempotency-Key": key,
        "Connection": "close",
    }
    with httpx.Client(timeout=TIMEOUT, headers=headers, trust_env=False) as client:
        for attempt in Retrying(
            retry=retry_if_exception(_may_retry),
            stop=stop_after_attempt(ATTEMPTS) | stop_after_delay(RETRY_SECONDS),
            wait=wait_exponential_jitter(multiplier=0.2, max=1),
            reraise=True,
        ):
            with attempt:
                _post(client, url, orjson.dumps(payload))


def _may_retry(error: BaseException) -> bool:
    return isinstance(error, NotDeliveredError) and error.may_retry


def _post(client: httpx.Client, url: SecretStr, body: bytes) -> None:
    try:
        with client.stream("POST", url.get_secret_value(), content=body) as response:
            status = response.status_code
    except httpx.TransportError as error:
        raise NotDeliveredError(f"no answer ({type(error).__name__})", may_retry=True) from None
    if not 200 <= status < 300:
        raise NotDeliveredError(f"answered with status {status}", may_retry=status in _RETRYABLE)
