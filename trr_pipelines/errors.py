"""The error tree: what can go wrong, under which reason code, and whether trying again can help.

    TrrError
     ├── InputError        what a user gave cannot be used: a path, a manifest, a URL, an option
     │    ├── NotFoundError     it names something that is not there
     │    └── ConflictError     it was made for a state that has changed meanwhile
     │         └── TakenDownError    it would bring back what was taken down
     ├── BackendError      the backend's answer cannot be used: nothing was written
     │    └── BackendUnavailableError   it did not answer, or not yet; asking later may help
     ├── SetupError        the surroundings are not ready: no database, an old schema, a port in use
     ├── NotDeliveredError the webhook did not take an alert, which is kept and sent later
     └── MediaError        one photo could not be fetched, decoded or stored; carries a `Reason`
          ├── PermanentError   the same bytes will fail again
          └── RetryableError   the same photo may succeed later

Every message names the thing, the limit and the value, and fits on one line: users see it as it stands.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a photo failed. The codes are a contract: they stand in the catalogue, in metrics and in payloads."""

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


class TrrError(Exception):
    """Base of every error this project raises on purpose."""


class InputError(TrrError):
    """What the user gave cannot be used."""


class NotFoundError(InputError):
    """What the user named is not there."""


class ConflictError(InputError):
    """What the user saw has changed meanwhile; nothing was written."""


class TakenDownError(ConflictError):
    """The bytes are those of a photo that was taken down; nothing may bring them back."""


class BackendError(TrrError):
    """The backend answered something that cannot be trusted or used; nothing was written."""


class BackendUnavailableError(BackendError):
    """The backend did not answer, or has not yet what was asked for; asking later may help. Nothing was written."""


class SetupError(TrrError):
    """The surroundings (database, ports, settings) are not ready for what was asked."""


class NotDeliveredError(TrrError):
    """The webhook did not take an alert; says why, and nothing of the URL, which holds a secret.

    `may_retry` is whether the same message may be taken a moment later.
    """

    def __init__(self, problem: str, *, may_retry: bool = False) -> None:
        super().__init__(problem)
        self.may_retry = may_retry


class MediaError(TrrError):
    """One photo could not be fetched, decoded or stored.

    `detail` is one line for people; `retry_after` is the number of seconds that the other side asked us to wait.
    """

    def __init__(self, reason: Reason, detail: str, *, retry_after: float | None = None) -> None:
        self.reason = reason
        self.detail = printable(detail)
        super().__init__(f"{reason}: {self.detail}")
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.reason, self.detail, self.retry_after)


class PermanentError(MediaError):
    """The same bytes will fail again; only a better file or a newer decoder helps."""


class RetryableError(MediaError):
    """The same photo may succeed later: a source, a store or a disk was not ready."""


def printable(text: str) -> str:
    """`text` as logs, JSON and PostgreSQL can hold it: NUL and halves of surrogate pairs are written out as escapes.

    Names of files need not be UTF-8, and a source or a decoder may say anything.
    """
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()


def _rebuild(cls: type[MediaError], reason: Reason, detail: str, retry_after: float | None) -> MediaError:
    return cls(reason, detail, retry_after=retry_after)
