"""The error tree: kinds of failure, their reason codes, and whether a retry can help.

    TrrError
     ├── InputError        invalid input: a path, a manifest, a URL, an option
     │    ├── NotFoundError     the named thing does not exist
     │    └── ConflictError     the state has changed since the user read it
     │         └── TakenDownError    the bytes belong to a photo that was taken down
     ├── BackendError      unusable response of the backend; nothing was written
     │    └── BackendUnavailableError   no response, or not ready yet; a retry may succeed
     ├── SetupError        the environment is not ready: no database, an old schema, a port in use
     ├── NotDeliveredError the webhook did not accept an alert, which is kept and sent again later
     └── MediaError        one photo could not be fetched, decoded or stored; carries a `Reason`
          ├── PermanentError   the same bytes will fail again
          └── RetryableError   a retry may succeed
               ├── HostBusyError    the host asked for a wait; costs the photo no attempt
               └── ChangedOriginalError    another program put other bytes under the key of an original

Every message names the thing, the limit and the value on one line: users see it unchanged.
"""

from __future__ import annotations

from enum import StrEnum

from trr_pipelines.foreign_text import shown


class Reason(StrEnum):
    """Why a photo failed. The codes are a contract: the catalogue, metrics and payloads contain them."""

    EMPTY_FILE = "empty_file"
    NOT_AN_IMAGE = "not_an_image"
    UNSUPPORTED_FORMAT = "unsupported_format"
    CORRUPT = "corrupt"
    TRUNCATED = "truncated"
    TOO_MANY_BYTES = "too_many_bytes"
    TOO_MANY_PIXELS = "too_many_pixels"
    SIDE_TOO_LONG = "side_too_long"
    DECODE_TIMEOUT = "decode_timeout"
    DECODE_OOM = "decode_oom"
    DECODE_CRASH = "decode_crash"
    BLOCKED_ADDRESS = "blocked_address"
    FETCH_NOT_FOUND = "fetch_not_found"
    FETCH_FORBIDDEN = "fetch_forbidden"
    FETCH_TIMEOUT = "fetch_timeout"
    FETCH_FAILED = "fetch_failed"
    STORAGE_UNAVAILABLE = "storage_unavailable"
    STORAGE_TIMEOUT = "storage_timeout"
    STORAGE_DENIED = "storage_denied"
    DISK_FULL = "disk_full"
    INTERNAL = "internal"


OF_BYTES = frozenset(
    {
        Reason.EMPTY_FILE,
        Reason.NOT_AN_IMAGE,
        Reason.UNSUPPORTED_FORMAT,
        Reason.CORRUPT,
        Reason.TRUNCATED,
        Reason.TOO_MANY_BYTES,
        Reason.TOO_MANY_PIXELS,
        Reason.SIDE_TOO_LONG,
        Reason.DECODE_TIMEOUT,
        Reason.DECODE_OOM,
        Reason.DECODE_CRASH,
    }
)
"""Reasons that lie in the bytes of a photo: its source may have a corrected file by now."""

FETCHED_AGAIN = OF_BYTES | {Reason.STORAGE_UNAVAILABLE}
"""Reasons for which fetching the original again may help: its bytes, or that its object is missing in the store."""


class TrrError(Exception):
    """Base of every error this project raises on purpose."""


class InputError(TrrError):
    """Invalid input of the user."""


class NotFoundError(InputError):
    """The named thing does not exist."""


class ConflictError(InputError):
    """The state has changed since the user read it; nothing was written."""


class TakenDownError(ConflictError):
    """The bytes belong to a photo that was taken down; they must not be imported again."""


class BackendError(TrrError):
    """The response of the backend cannot be used; nothing was written."""


class BackendUnavailableError(BackendError):
    """The backend did not respond or is not ready yet; a retry may succeed. Nothing was written."""


class SetupError(TrrError):
    """The environment (database, ports, settings) is not ready for the command."""


class NotDeliveredError(TrrError):
    """The webhook did not accept an alert. The message never contains the URL, which is secret.

    `may_retry`: whether an immediate retry of the same message may succeed.
    """

    def __init__(self, problem: str, *, may_retry: bool = False) -> None:
        super().__init__(problem)
        self.may_retry = may_retry


class MediaError(TrrError):
    """One photo could not be fetched, decoded or stored.

    `detail` is one line for users; `retry_after` is the wait in seconds that the server asked for, or None.
    """

    def __init__(self, reason: Reason, detail: str, *, retry_after: float | None = None) -> None:
        self.reason = reason
        self.detail = shown(detail)
        super().__init__(f"{reason}: {self.detail}")
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.reason, self.detail, self.retry_after)


class PermanentError(MediaError):
    """The same bytes will fail again, until the file is replaced or the decoder upgraded."""


class RetryableError(MediaError):
    """A retry may succeed: a source, a store or a disk was unavailable."""


class HostBusyError(RetryableError):
    """A host asked for a wait before the next request, which says nothing about the photo."""

    def __init__(self, detail: str, *, retry_after: float | None) -> None:
        super().__init__(Reason.FETCH_FAILED, detail, retry_after=retry_after)

    @property
    def wait_seconds(self) -> float:
        """The wait in seconds: at least one, and 30 if the host did not say how long."""
        return 30.0 if self.retry_after is None else max(self.retry_after, 1.0)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_busy, (self.detail, self.retry_after)


class ChangedOriginalError(RetryableError):
    """Another program put other bytes under the key of an original: it must be read again."""


def printable(text: str) -> str:
    """`text` with NUL and lone surrogates escaped, so that logs, JSON and PostgreSQL accept it.

    File names need not be UTF-8, and messages of sources and decoders may contain any bytes.
    """
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


def _rebuild(cls: type[MediaError], reason: Reason, detail: str, retry_after: float | None) -> MediaError:
    return cls(reason, detail, retry_after=retry_after)


def _rebuild_busy(detail: str, retry_after: float | None) -> HostBusyError:
    return HostBusyError(detail, retry_after=retry_after)
