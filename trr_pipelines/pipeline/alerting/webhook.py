"""One POST of JSON to an operator's webhook: bounded in time, tried again where that helps, its URL never shown.

Unlike the addresses of imports, this one is the operator's own and may be internal. Redirects are not followed: they
would hand a message, and whatever secret its URL holds, to somebody else. What a message says is `alert_messages`'.
"""

from __future__ import annotations

import base64
import time
from ipaddress import ip_network
from typing import Any, Final

import httpcore
import httpx
import orjson
from pydantic import SecretStr
from tenacity import Retrying, retry_if_exception, stop_after_attempt, stop_after_delay, wait_exponential_jitter

from trr_pipelines.errors import NotDeliveredError
from trr_pipelines.pipeline.imports.fetching.network import CONNECT_SECONDS, GuardedNetwork, resolve

READ_SECONDS: Final = 10.0
# A second attempt begins only while the first few seconds last: who asks is a sensor, and it comes again.
RETRY_SECONDS: Final = 5.0
ATTEMPTS: Final = 3
ANYWHERE: Final = (ip_network("0.0.0.0/0"), ip_network("::/0"))
_RETRYABLE: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


def post_json(url: SecretStr, payload: dict[str, Any], *, key: str) -> None:
    """Hand `payload` over; `key` goes along as `Idempotency-Key`, the same whenever the same message is sent again.

    5 s to connect and 10 s for an answer; at most 20 s in all. Any 2xx counts as taken. Raises NotDeliveredError.
    """
    body = orjson.dumps(payload)
    # httpcore and not httpx, which logs the URLs of its requests.
    with httpcore.ConnectionPool(
        ssl_context=httpx.create_ssl_context(),
        network_backend=GuardedNetwork(ANYWHERE, resolve, httpcore.SyncBackend()),
    ) as pool:
        for attempt in Retrying(
            retry=retry_if_exception(_may_retry),
            stop=stop_after_attempt(ATTEMPTS) | stop_after_delay(RETRY_SECONDS),
            wait=wait_exponential_jitter(multiplier=0.2, max=1),
            reraise=True,
        ):
            with attempt:
                _post(pool, url, body, key)


def _may_retry(error: BaseException) -> bool:
    return isinstance(error, NotDeliveredError) and error.may_retry


def _post(pool: httpcore.ConnectionPool, url: SecretStr, body: bytes, key: str) -> None:
    target = httpx.URL(url.get_secret_value())
    headers = [
        ("Host", target.netloc.decode()),
        ("User-Agent", "trr-pipelines/0.1 (alerts)"),
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("Idempotency-Key", key),
        ("Connection", "close"),
    ]
    if target.userinfo:
        userinfo = base64.b64encode(f"{target.username}:{target.password}".encode()).decode()
        headers.append(("Authorization", f"Basic {userinfo}"))
    now = time.monotonic()
    # Instants, as `GuardedNetwork` wants them: an answer that drips in gains no time by it.
    timeout = {"connect": now + CONNECT_SECONDS, "pool": CONNECT_SECONDS}
    timeout |= dict.fromkeys(("read", "write"), now + CONNECT_SECONDS + READ_SECONDS)
    try:
        with pool.stream(
            "POST",
            httpcore.URL(scheme=target.raw_scheme, host=target.raw_host, port=target.port, target=target.raw_path),
            headers=headers,
            content=body,
            extensions={"timeout": timeout},
        ) as response:
            status = response.status
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise NotDeliveredError(f"no answer ({type(error).__name__})", may_retry=True) from None
    if not 200 <= status < 300:
        raise NotDeliveredError(f"answered with status {status}", may_retry=status in _RETRYABLE)
