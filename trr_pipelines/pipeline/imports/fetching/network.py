"""The network as a fetch sees it: only checked addresses are contacted, and no wait outlasts the fetch's deadline.

What belongs here: resolving, checking, connecting, and timing single reads and writes. HTTP does not.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from ipaddress import ip_address
from threading import Thread
from typing import Any, Final

import httpcore

from trr_pipelines.errors import PermanentError, Reason
from trr_pipelines.pipeline.imports.fetching.addresses import Address, Network, may_contact

Resolver = Callable[[str, int], Sequence[str]]
"""From host and port to the addresses it has, as text. Raises `OSError` when it has none."""

CONNECT_SECONDS: Final = 5.0
"""The most that one address of a host may take, so that a dead one leaves time for the next."""


def resolve(host: str, port: int) -> list[str]:
    """What the system's resolver says, in its order of preference."""
    return [str(answer[4][0]) for answer in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class GuardedNetwork(httpcore.NetworkBackend):
    """Connects to a host's addresses only when every one of them may be contacted.

    The address that was checked is the one that is dialled, so a name that resolves differently a moment later
    (DNS rebinding) gains nothing. TLS still verifies the name.

    Every `timeout` that arrives here is an instant of `time.monotonic()`, not a number of seconds: httpcore hands
    the same value to every read of a body, and a number of seconds would begin anew with every byte that drips in.
    """

    def __init__(self, allow: Iterable[Network], resolver: Resolver, dialler: httpcore.NetworkBackend) -> None:
        self._allow = tuple(allow)
        self._resolver = resolver
        self._dialler = dialler

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """A connection to the first address that answers.

        Raises `PermanentError` (`blocked_address`) before anything is sent, `httpcore.ConnectTimeout`, and
        `httpcore.ConnectError` when the name has no address or no address answers.
        """
        addresses = self._addresses(host, port, timeout)
        for address in addresses:
            if not may_contact(address, self._allow):
                raise PermanentError(Reason.BLOCKED_ADDRESS, f"{host} is at {address}, which is not a public address")
        failure: httpcore.ConnectError | httpcore.ConnectTimeout = httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            seconds = min(CONNECT_SECONDS, _seconds_until(timeout, httpcore.ConnectTimeout))
            try:
                stream = self._dialler.connect_tcp(str(address), port, seconds, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _TimedStream(stream)
        raise failure

    def _addresses(self, host: str, port: int, timeout: float | None) -> list[Address]:
        """Resolve in a thread of its own: the C library offers no time limit, so a silent server is left behind."""
        answer: Future[Sequence[str]] = Future()

        def ask() -> None:
            try:
                answer.set_result(self._resolver(host, port))
            except Exception as error:  # noqa: BLE001  handed to the thread that waits for it
                answer.set_exception(error)

        Thread(target=ask, name=f"resolve {host}", daemon=True).start()
        try:
            found = answer.result(_seconds_until(timeout, httpcore.ConnectTimeout))
        except TimeoutError:
            raise httpcore.ConnectTimeout(f"no answer from DNS about {host}") from None
        except OSError as error:
            raise httpcore.ConnectError(f"{host} cannot be resolved: {error.strerror or error}") from error
        return [ip_address(address) for address in found]


class _TimedStream(httpcore.NetworkStream):
    """A connection on which reads, writes and the TLS handshake end at the instant given as `timeout`."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _seconds_until(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _seconds_until(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        seconds = _seconds_until(timeout, httpcore.ConnectTimeout)
        return _TimedStream(self._stream.start_tls(ssl_context, server_hostname, seconds))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _seconds_until(instant: float | None, error: type[httpcore.TimeoutException]) -> float:
    if instant is None:
        raise TypeError("every call here has a deadline")
    left = instant - time.monotonic()
    if left <= 0:
        raise error("the deadline has passed")
    return left
