"""HTTP client of the backend for Screenalytics: one endpoint, one token, retries of transient failures.

Responses are validated in `responses`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from uuid import UUID

import httpx
from pydantic import SecretStr
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from trr_pipelines.errors import BackendError, BackendUnavailableError, NotFoundError, SetupError
from trr_pipelines.screenalytics.responses import PhotosAnswer, parse_answer

PAGE_SIZE = 500
# Fits 500 photos with captions of 10,000 characters, and a backend without paging: 10,000 photos are 5 MB.
MAX_BYTES = 32_000_000
RETRYABLE_STATUSES = frozenset({408, 429, 502, 503, 504})
MAX_RETRY_AFTER = 30.0


@dataclass(frozen=True)
class Patience:
    """Timeouts in seconds for connecting, for reading and for a whole response, and the number of attempts."""

    connect: float = 5.0
    read: float = 10.0
    whole: float = 60.0
    attempts: int = 3
    first_wait: float = 0.5


@dataclass(frozen=True)
class Call:
    """A request that was sent, and its response status (0: no response)."""

    seed_only: bool
    page: int
    status: int


@dataclass(frozen=True)
class _Received:
    status: int
    headers: httpx.Headers
    body: bytes


@dataclass
class BackendClient:
    """Reads photos of people from the backend. Not thread-safe; use it in a `with` statement.

    `calls` lists all requests, including retries. Proxies and credentials of the environment are never used.
    """

    url: str
    token: SecretStr
    patience: Patience = field(default_factory=Patience)
    calls: list[Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        limits = httpx.Timeout(self.patience.read, connect=self.patience.connect)
        self._http = httpx.Client(timeout=limits, trust_env=False, follow_redirects=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def photos(self, person_id: UUID, *, seed_only: bool) -> Iterator[PhotosAnswer]:
        """The person's photos in pages of 500, at least one page.

        Raises NotFoundError for an unknown person, SetupError when the token is rejected, BackendUnavailableError when
        all attempts fail, and BackendError for an invalid response.
        """
        cursor: str | None = None
        after: UUID | None = None
        page = 0
        while True:
            body = self._get(person_id, seed_only=seed_only, cursor=cursor, page=page)
            response = parse_answer(body, person_id=person_id, seed_only=seed_only, after=after)
            yield response
            if response.next_cursor is None:
                return
            cursor, after, page = response.next_cursor, response.photos[-1].link_id, page + 1

    def _get(self, person_id: UUID, *, seed_only: bool, cursor: str | None, page: int) -> bytes:
        url = f"{self.url}/api/v1/screenalytics/people/{person_id}/photos"
        params: dict[str, str | int] = {"seed_only": "true" if seed_only else "false", "limit": PAGE_SIZE}
        if cursor is not None:
            params["cursor"] = cursor
        for attempt in Retrying(
            retry=retry_if_exception_type(_TransientError),
            stop=stop_after_attempt(self.patience.attempts),
            wait=self._wait,
            reraise=True,
        ):
            with attempt:
                status = 0
                try:
                    received = self._exchange(url, params)
                    status = received.status
                finally:
                    self.calls.append(Call(seed_only, page, status))
                return self._body_of(received, person_id)
        raise AssertionError("unreachable: Retrying either returns or raises")

    def _exchange(self, url: str, params: dict[str, str | int]) -> _Received:
        """Send the request and read the response within the limits of size and time."""
        deadline = time.monotonic() + self.patience.whole
        headers = {"Authorization": f"Bearer {self.token.get_secret_value()}", "Accept": "application/json"}
        try:
            with self._http.stream("GET", url, params=params, headers=headers) as response:
                body = bytearray()
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > MAX_BYTES:
                        raise BackendError(f"the backend's response has more than {MAX_BYTES:,} bytes")
                    if time.monotonic() > deadline:
                        raise _TransientError(f"response not complete within {self.patience.whole:g} s")
                return _Received(response.status_code, response.headers, bytes(body))
        except httpx.TimeoutException as error:
            raise _TransientError(f"no response in time ({type(error).__name__})") from None
        except httpx.DecodingError as error:
            raise BackendError(f"the backend's response cannot be decoded ({error})") from None
        except httpx.TransportError as error:
            raise _TransientError(f"{type(error).__name__}: {error}") from None
        except httpx.InvalidURL as error:
            raise SetupError(f"TRR_API_URL is not a valid URL: {error}") from None

    def _body_of(self, received: _Received, person_id: UUID) -> bytes:
        status = received.status
        if status == httpx.codes.OK:
            kind = received.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind not in ("application/json", ""):
                raise BackendError(f"the backend returned {kind}, expected application/json")
            return received.body
        if status in RETRYABLE_STATUSES:
            raise _TransientError(f"status {status}", _retry_after(received.headers))
        if status == httpx.codes.NOT_FOUND:
            raise NotFoundError(f"no person {person_id} in the backend")
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise SetupError(f"the backend at {self.url} rejects SCREENALYTICS_SERVICE_TOKEN (status {status})")
        raise BackendError(f"the backend returned status {status}")

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        requested = error.retry_after if isinstance(error, _TransientError) else 0.0
        first = self.patience.first_wait
        return max(requested, wait_exponential_jitter(multiplier=first, max=8, jitter=first)(state))


class _TransientError(BackendUnavailableError):
    """A failure worth a retry; `retry_after` is the wait in seconds that the backend asked for."""

    def __init__(self, what: str, retry_after: float = 0.0) -> None:
        super().__init__(f"backend unavailable: {what}")
        self.retry_after = retry_after


def _retry_after(headers: httpx.Headers) -> float:
    try:
        return min(MAX_RETRY_AFTER, max(0.0, float(headers.get("retry-after", "0"))))
    except ValueError:
        return 0.0
