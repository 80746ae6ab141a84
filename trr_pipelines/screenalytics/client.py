"""HTTP client of the backend for Screenalytics: one endpoint, one token, retries of transient failures.

Responses are validated in `responses`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from uuid import UUID

import httpx
from pydantic import SecretStr
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from trr_pipelines.errors import BackendError, BackendUnavailableError, NotFoundError, SetupError
from trr_pipelines.screenalytics.responses import BackendPhoto, OwnPhoto, PhotosPage, parse_page

PAGE_SIZE = 500
# Fits 500 photos with captions of 10,000 characters.
MAX_BYTES = 32_000_000
# Of one person and list. A server that adds pages for ever reaches it within a minute.
MAX_PHOTOS = 100_000
MAX_LISTING_BYTES = 256_000_000
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


@dataclass(frozen=True)
class PersonPhotos:
    """The listed photos of a person, each once, in the backend's order.

    `unserved` counts photos that are linked but not mirrored yet.
    """

    photos: list[BackendPhoto]
    unserved: int


class _Reading:
    """The pages of one list so far: photos by id, and what the next page must agree with."""

    def __init__(self, person_id: UUID, most: int) -> None:
        self.photos: dict[UUID, BackendPhoto] = {}
        self.pages = 0
        self._who = f"the backend's photos of person {person_id}"
        self._most = most
        self._links: set[UUID] = set()
        self._totals: set[int | None] = set()
        self._form: type[BackendPhoto] | None = None
        self._last: BackendPhoto | None = None
        self._expected: BackendPhoto | None = None
        self._listed = self._bytes = self._unserved = self._without_key = 0

    def add(self, page: PhotosPage, size: int) -> None:
        """Take in the next page, of `size` bytes. Raises BackendError if it does not continue the others."""
        self.pages += 1
        fresh = self._continued(page.photos)
        self._listed += len(fresh)
        self._bytes += size
        if self._listed > self._most or self.pages > max(2, self._most // 100):
            raise BackendError(f"{self._who} have no end: {self.pages} pages and more than {self._listed - 1} photos")
        if self._bytes > MAX_LISTING_BYTES:
            raise BackendError(f"{self._who} have more than {MAX_LISTING_BYTES:,} bytes")
        before = len(self.photos) + self._without_key
        for photo in fresh:
            self._put(photo)
        if self.pages > 1 and fresh and len(self.photos) + self._without_key == before and not self._links:
            raise BackendError(f"{self._who}: page {self.pages} repeats photos of earlier pages")
        self._totals.add(page.total)
        self._unserved = page.unserved or 0
        self._last = page.photos[-1] if page.photos else None

    def expect_last_again(self) -> int:
        """The offset of the next page, which begins with the last photo of this one."""
        self._expected = self._last
        return self._listed - 1

    def require_whole(self) -> None:
        """Raise BackendError if the backend counted other photos than it listed, and always the same number."""
        if len(self._totals) == 1 and (total := next(iter(self._totals))) not in (None, self._listed):
            raise BackendError(f"{self._who}: it counts {total} and lists {self._listed}")

    def ended(self, most: int | None = None) -> PersonPhotos:
        """The list, or its first `most` photos."""
        return PersonPhotos(list(self.photos.values())[:most], self._unserved + self._without_key)

    def _continued(self, photos: list[BackendPhoto]) -> list[BackendPhoto]:
        """The photos of a page without the one that overlaps."""
        if photos and self._form not in (None, type(photos[0])):
            raise BackendError(f"{self._who}: page {self.pages} has other fields than the ones before")
        if photos:
            self._form = type(photos[0])
        if self._expected is None:
            return photos
        if not photos or photos[0].photo_id != self._expected.photo_id:
            raise BackendError(
                f"{self._who} changed while they were read: page {self.pages} does not continue page {self.pages - 1};"
                " try again later"
            )
        self._expected = None
        return photos[1:]

    def _put(self, photo: BackendPhoto) -> None:
        if isinstance(photo, OwnPhoto):
            if photo.link_id in self._links:
                raise BackendError(f"{self._who}: page {self.pages} lists link {photo.link_id} again; try again later")
            self._links.add(photo.link_id)
        if photo.hosted_key is None:
            self._without_key += 1
            return
        known = self.photos.setdefault(photo.photo_id, photo)
        if known is not photo and isinstance(known, OwnPhoto) and isinstance(photo, OwnPhoto):
            # Linked twice, as photo and as news: a seed if either link is.
            known.facebank_seed = known.facebank_seed or photo.facebank_seed


@dataclass
class BackendClient:
    """Reads photos of people from the backend. Not thread-safe; use it in a `with` statement.

    `calls` lists all requests, including retries. Proxies and credentials of the environment are never used.
    """

    url: str
    token: SecretStr
    patience: Patience = field(default_factory=Patience)
    calls: list[Call] = field(default_factory=list)
    most_photos: int = MAX_PHOTOS

    def __post_init__(self) -> None:
        limits = httpx.Timeout(self.patience.read, connect=self.patience.connect)
        self._http = httpx.Client(timeout=limits, trust_env=False, follow_redirects=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def photos(self, person_id: UUID, *, seed_only: bool, most: int | None = None) -> PersonPhotos:
        """The person's photos in the backend's order: all of them, or the first `most`.

        Pages have up to 500 photos. They follow the backend's links; a backend that sends neither links nor counts is
        read by `offset` until a page is short, each page beginning with the last photo of the one before, so that a
        list that changes meanwhile is noticed.

        Raises NotFoundError for an unknown person, SetupError when the token is rejected, BackendUnavailableError when
        all attempts fail, and BackendError for an invalid response, a list that changes and one without an end.
        """
        url = f"{self.url}/api/v1/screenalytics/people/{person_id}/photos"
        first = {"seed_only": "true" if seed_only else "false", "limit": str(PAGE_SIZE)}
        reading = _Reading(person_id, self.most_photos)
        parameters: dict[str, str] | None = first
        while parameters is not None:
            received = self._get(url, person_id, parameters, seed_only=seed_only, page=reading.pages)
            page = parse_page(received.body, received.headers, url=url, seed_only=seed_only, limit=PAGE_SIZE)
            reading.add(page, len(received.body))
            if most is not None and len(reading.photos) >= most:
                return reading.ended(most)
            if page.following is not None:
                parameters = first | page.following
            elif page.total is None and len(page.photos) == PAGE_SIZE:
                parameters = first | {"offset": str(reading.expect_last_again())}
            else:
                parameters = None
        reading.require_whole()
        return reading.ended()

    def _get(self, url: str, person_id: UUID, params: dict[str, str], *, seed_only: bool, page: int) -> _Received:
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
                self._require_list(received, person_id)
                return received
        raise AssertionError("unreachable: Retrying either returns or raises")

    def _exchange(self, url: str, params: dict[str, str]) -> _Received:
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

    def _require_list(self, received: _Received, person_id: UUID) -> None:
        status = received.status
        if status == httpx.codes.OK:
            kind = received.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind not in ("application/json", ""):
                raise BackendError(f"the backend returned {kind}, expected application/json")
            return
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
