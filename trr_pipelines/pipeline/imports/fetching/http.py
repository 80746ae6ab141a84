"""Fetching one photo from an untrusted http(s) URL.

Belongs here: redirects, mapping of statuses to reason codes, conditional requests, limits. `addresses` decides which
hosts may be contacted, `network` enforces it, and the ledger decides about retries.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Final, Protocol, Self, overload

import httpcore
import httpx

from trr_pipelines.errors import HostBusyError, InputError, PermanentError, Reason, RetryableError
from trr_pipelines.foreign_text import shown_url
from trr_pipelines.imaging.decode import MAX_BYTES
from trr_pipelines.pipeline.imports.fetching.addresses import Network, check_host, parse_networks
from trr_pipelines.pipeline.imports.fetching.body import read_body, too_many_bytes
from trr_pipelines.pipeline.imports.fetching.network import GuardedNetwork, Resolver, resolve

DEADLINE_SECONDS: Final = 30.0
MAX_REDIRECTS: Final = 5
MAX_RETRY_AFTER: Final = 86_400.0
"""Upper limit of `Retry-After`, in seconds."""

USER_AGENT: Final = "trr-pipelines/0.1 (photo archive mirror)"

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_REASONS: Final = {
    401: Reason.FETCH_FORBIDDEN,
    403: Reason.FETCH_FORBIDDEN,
    404: Reason.FETCH_NOT_FOUND,
    410: Reason.FETCH_NOT_FOUND,
    451: Reason.FETCH_FORBIDDEN,
}


@dataclass(frozen=True, slots=True)
class Fetched:
    """A photo as its source delivered it; headers as sent, or None."""

    data: bytes
    final_url: str
    etag: str | None
    last_modified: str | None
    content_type: str | None


class Turns(Protocol):
    """Decides when a request to a host may begin."""

    def turn(self, host: str, /) -> AbstractContextManager[None]:
        """One request to the host, begun when it is due. Raises HostBusyError instead of a long wait."""

    def wait(self, host: str, seconds: float, /) -> None:
        """The host asked for a wait."""


class _NoTurns:
    def turn(self, _: str) -> AbstractContextManager[None]:
        return nullcontext()

    def wait(self, _: str, __: float) -> None:
        pass


class Fetcher:
    """Fetches photos; thread-safe. Leaving its `with` block closes pooled connections.

    `allow` lists networks that may be contacted although they are not public. `turns` decides when a request may begin.
    `seconds` is the deadline for a whole fetch: DNS, every redirect, and the last byte of the body, without waits for a
    turn. `max_bytes` limits the decoded body; a body is held in memory, so N threads may hold N times that. Proxies and
    credentials of the environment are never used.
    """

    def __init__(
        self,
        *,
        allow: Iterable[str | Network] = (),
        turns: Turns | None = None,
        seconds: float = DEADLINE_SECONDS,
        max_bytes: int = MAX_BYTES,
        ssl_context: ssl.SSLContext | None = None,
        resolver: Resolver = resolve,
        dialler: httpcore.NetworkBackend | None = None,
    ) -> None:
        self._turns = turns or _NoTurns()
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._pool = httpcore.ConnectionPool(
            ssl_context=ssl_context or httpx.create_ssl_context(),
            network_backend=GuardedNetwork(parse_networks(allow), resolver, dialler or httpcore.SyncBackend()),
            max_connections=None,  # the caller's threads are the limit
            max_keepalive_connections=16,
            keepalive_expiry=5.0,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pool.close()

    @overload
    def fetch(self, url: str) -> Fetched: ...
    @overload
    def fetch(self, url: str, *, conditional: tuple[str | None, str | None] | None) -> Fetched | None: ...

    def fetch(self, url: str, *, conditional: tuple[str | None, str | None] | None = None) -> Fetched | None:
        """The photo at `url`; None when it has not changed since `conditional` (etag, last_modified).

        Raises:
            PermanentError: `blocked_address` for a URL or redirect that may not be followed, `too_many_bytes`,
                `empty_file`.
            HostBusyError: the host asked for a wait (429, or 503 with `Retry-After`).
            RetryableError: `fetch_not_found` (404, 410), `fetch_forbidden` (401, 403, 451), `fetch_timeout`, and
                `fetch_failed` for everything else, including a truncated body; with `retry_after` when the source sent
                one. The ledger decides after how many of these a photo is parked.
        """
        left = self._seconds
        current = _checked(url)
        for _ in range(MAX_REDIRECTS + 1):
            with self._turns.turn(host := current.netloc.decode()):
                began = time.monotonic()
                try:
                    result = self._request(current, conditional, began + left)
                except HostBusyError as busy:
                    self._turns.wait(host, busy.wait_seconds)
                    raise
                left -= time.monotonic() - began
            if not isinstance(result, httpx.URL):
                return result
            current = result
        raise RetryableError(Reason.FETCH_FAILED, f"{_shown(_checked(url))} redirects more than {MAX_REDIRECTS} times")

    def _request(
        self, url: httpx.URL, conditional: tuple[str | None, str | None] | None, deadline: float
    ) -> Fetched | httpx.URL | None:
        """The photo at `url`, or where it redirects to; None for an unchanged photo."""
        with _fetch_errors(_shown(url)), self._response(url, conditional, deadline) as response:
            headers = httpx.Headers(response.headers)
            if response.status in _REDIRECTS and "location" in headers:
                return _redirected(url, headers["location"])
            if response.status == 304 and conditional is not None:
                return None
            if response.status not in (200, 203):
                raise _refused(response.status, headers, _shown(url))
            return Fetched(
                self._body(response, headers, _shown(url)),
                str(url),
                headers.get("etag"),
                headers.get("last-modified"),
                headers.get("content-type"),
            )

    @contextmanager
    def _response(
        self, url: httpx.URL, conditional: tuple[str | None, str | None] | None, deadline: float
    ) -> Iterator[httpcore.Response]:
        """The response to one GET, its body unread. `deadline` is an instant of `time.monotonic()`."""
        headers = [("Host", url.netloc.decode()), ("User-Agent", USER_AGENT), ("Accept", "image/*,*/*;q=0.5")]
        headers.append(("Accept-Encoding", "identity"))  # photos do not compress, and bombs need an encoding
        etag, last_modified = conditional or (None, None)
        if etag is not None:
            headers.append(("If-None-Match", etag))
        if last_modified is not None:
            headers.append(("If-Modified-Since", last_modified))
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        waits = {"connect": deadline, "read": deadline, "write": deadline}
        request = httpcore.Request("GET", target, headers=headers, extensions={"timeout": waits})
        with closing(self._send(request)) as response:
            yield response

    def _send(self, request: httpcore.Request) -> httpcore.Response:
        """The response head. Retries once when the connection breaks before it arrives.

        A server may close a pooled connection at the moment it is reused; a new connection rules that out.
        """
        try:
            return self._pool.handle_request(request)
        except (httpcore.ReadError, httpcore.WriteError, httpcore.RemoteProtocolError):
            return self._pool.handle_request(request)

    def _body(self, response: httpcore.Response, headers: httpx.Headers, source: str) -> bytes:
        announced = headers.get("content-length")
        if announced is not None and int(announced) > self._max_bytes:  # h11 has checked that it is a number
            raise too_many_bytes(source, announced, self._max_bytes)
        encoding = headers.get("content-encoding", "")
        return read_body(_whole(response, announced, source), encoding, self._max_bytes, source)


def check_url(url: str) -> None:
    """Raise `InputError` for a URL that a `Fetcher` refuses, whatever its host resolves to."""
    _parsed(url)


def _parsed(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise InputError(f"not a URL: {error}: {shown_url(url)[:100]}") from error
    if parsed.scheme not in ("http", "https"):
        raise InputError(f"only http and https URLs can be fetched: {shown_url(url)[:100]}")
    if parsed.userinfo:
        raise InputError(f"a URL with credentials cannot be fetched: {_shown(parsed)}")
    if parsed.port == 0:
        raise InputError(f"port 0 cannot be fetched from: {_shown(parsed)}")
    check_host(parsed.raw_host.decode())
    return parsed.copy_with(fragment=None)


def _checked(url: str) -> httpx.URL:
    try:
        return _parsed(url)
    except InputError as error:
        raise PermanentError(Reason.BLOCKED_ADDRESS, str(error)) from error


def _redirected(current: httpx.URL, location: str) -> httpx.URL:
    try:
        return _checked(str(current.join(location)))
    except httpx.InvalidURL as error:
        raise PermanentError(
            Reason.BLOCKED_ADDRESS, f"{_shown(current)} redirects to an invalid URL: {error}"
        ) from error


def _shown(url: httpx.URL) -> str:
    """The URL for messages."""
    return shown_url(str(url))


def _refused(status: int, headers: httpx.Headers, source: str) -> RetryableError:
    detail, retry_after = f"{source} answered {status}", _retry_after(headers)
    if status == 429 or (status == 503 and retry_after is not None):
        return HostBusyError(detail, retry_after=retry_after)
    return RetryableError(_REASONS.get(status, Reason.FETCH_FAILED), detail, retry_after=retry_after)


def _retry_after(headers: httpx.Headers) -> float | None:
    """Seconds to wait by `Retry-After`; a date is relative to the response's own `Date`, not to our clock."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value), MAX_RETRY_AFTER)
    until, now = _date(value), _date(headers.get("date", "")) or datetime.now(UTC)
    return None if until is None else min(max((until - now).total_seconds(), 0.0), MAX_RETRY_AFTER)


def _date(value: str) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(value)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _whole(response: httpcore.Response, announced: str | None, source: str) -> Iterator[bytes]:
    """The body in chunks. Raises `fetch_failed` when the connection ends before the body does."""
    received = 0
    try:
        for chunk in response.iter_stream():
            received += len(chunk)
            yield chunk
    except (httpcore.RemoteProtocolError, httpcore.ReadError) as error:
        of = f" of {announced}" if announced else ""
        raise RetryableError(Reason.FETCH_FAILED, f"{source} is truncated after {received}{of} bytes") from error


@contextmanager
def _fetch_errors(source: str) -> Iterator[None]:
    """Map network errors to our error types."""
    try:
        yield
    except httpcore.TimeoutException as error:
        raise RetryableError(Reason.FETCH_TIMEOUT, f"{source} did not answer in time: {error}") from error
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise RetryableError(Reason.FETCH_FAILED, f"{source}: {' '.join(str(error).split())}") from error
