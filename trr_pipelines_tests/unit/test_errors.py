"""The error tree: its codes are a contract, and errors must survive pickling."""

from __future__ import annotations

import pickle

import pytest

from trr_pipelines.errors import (
    InputError,
    MediaError,
    PermanentError,
    Reason,
    RetryableError,
    SetupError,
    TrrError,
    printable,
)
from trr_pipelines.storage.store import MissingObjectError

CODES = [
    "empty_file",
    "not_an_image",
    "unsupported_format",
    "corrupt",
    "truncated",
    "too_many_bytes",
    "too_many_pixels",
    "side_too_long",
    "decode_timeout",
    "decode_oom",
    "decode_crash",
    "blocked_address",
    "fetch_not_found",
    "fetch_forbidden",
    "fetch_timeout",
    "fetch_failed",
    "storage_unavailable",
    "storage_timeout",
    "storage_denied",
    "disk_full",
    "internal",
]


def test_reason_codes_are_those_of_the_contract() -> None:
    assert [str(reason) for reason in Reason] == CODES


@pytest.mark.parametrize(
    ("error", "base"),
    [
        (InputError, TrrError),
        (SetupError, TrrError),
        (MediaError, TrrError),
        (PermanentError, MediaError),
        (RetryableError, MediaError),
        (MissingObjectError, RetryableError),
    ],
)
def test_every_error_has_its_documented_base_class(error: type[TrrError], base: type[TrrError]) -> None:
    assert issubclass(error, base)


def test_a_retryable_error_is_never_permanent() -> None:
    assert not issubclass(RetryableError, PermanentError)
    assert not issubclass(PermanentError, RetryableError)


def test_a_message_starts_with_its_reason_code() -> None:
    assert str(PermanentError(Reason.TRUNCATED, "a.jpg ends after 12 bytes")) == "truncated: a.jpg ends after 12 bytes"


@pytest.mark.parametrize("kind", [MediaError, PermanentError, RetryableError, MissingObjectError])
def test_an_error_survives_pickling(kind: type[MediaError]) -> None:
    error = kind(Reason.FETCH_FAILED, "answered 503", retry_after=12.5)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301  our own bytes
    assert type(copy) is kind
    assert (copy.reason, copy.detail, copy.retry_after, str(copy)) == (
        Reason.FETCH_FAILED,
        "answered 503",
        12.5,
        "fetch_failed: answered 503",
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain é 北", "plain é 北"), ("a\0b", r"a\x00b"), ("caf\udce9.jpg", r"caf\udce9.jpg"), ("", "")],
)
def test_any_error_message_can_be_logged_and_stored(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert PermanentError(Reason.CORRUPT, text).detail == shown
