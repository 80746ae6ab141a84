"""A network backend for fetching that contacts only permitted addresses and enforces one deadline per fetch.

Belongs here: resolving, checking, connecting, and timeouts of single reads and writes. HTTP does not.
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
"""Maps host and port to addresses as text. Raises `OSError` when there are none."""

CONNECT_SECONDS: Final = 5.0
"""Timeout per address of a host, so that a dead one leaves time for the next."""


def resolve(host: str, port: int) -> list[str]:
    """The addresses from the system's resolver, in its order of preference."""
    return [str(answer[4][0]) for answer in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class GuardedNetwork(httpcore.NetworkBackend):
    """Connects to a host only when every one of its addresses is permitted.

    It dials the address that it checked, so DNS rebinding has no effect. TLS still verifies the name.

    Every `timeout` is an instant of `time.monotonic()`, not a duration: httpcore passes the same value to every read of
    a body, and a duration would restart with every byte of a drip-fed response.
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
        """A connection to the first address that accepts one.

        Raises `PermanentError` (`blocked_address`) before anything is sent, `httpcore.ConnectTimeout`, and
        `httpcore.ConnectError` when the name has no address or no address answers.
        """
        addresses = self._addresses(host, port, timeout)
        for address in addresses:
            if not may_contact(address, self._allow):
                raise PermanentError(Reason.BLOCKED_ADDRESS, f"{host} is at {address}, not a public address")
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
        """Resolve in a separate thread: getaddrinfo has no timeout, so the thread is abandoned when DNS is silent."""
        result: Future[Sequence[str]] = Future()

        def run() -> None:
            try:
                result.set_result(self._resolver(host, port))
            except Exception as error:  # noqa: BLE001  re-raised in the waiting thread
                result.set_exception(error)

        Thread(target=run, name=f"resolve {host}", daemon=True).start()
        try:
            found = result.result(_seconds_until(timeout, httpcore.ConnectTimeout))
        except TimeoutError:
            raise httpcore.ConnectTimeout(f"no DNS response for {host}") from None
        except OSError as error:
            raise httpcore.ConnectError(f"{host} cannot be resolved: {error.strerror or error}") from error
        return [ip_address(address) for address in found]


class _TimedStream(httpcore.NetworkStream):
    """A connection whose reads, writes and TLS handshake end at the instant given as `timeout`."""

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
        raise TypeError("a deadline is required")
    left = instant - time.monotonic()
    if left <= 0:
        raise error("the deadline has passed")
    return left
