"""Bodies: decoded in small steps, limited after decoding, and refused if truncated."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Iterator

import pytest

from trr_pipelines.errors import MediaError, PermanentError, Reason, RetryableError
from trr_pipelines.pipeline.imports.fetching.body import read_body
from trr_pipelines_tests import pictures

SOURCE = "https://example.com/photo.jpg"
PHOTO = bytes(range(256)) * 1000


def zipped(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def in_pieces(data: bytes, size: int = 1000) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def read(data: bytes, encoding: str, limit: int = len(PHOTO)) -> bytes:
    return read_body(in_pieces(data), encoding, limit, SOURCE)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("", PHOTO),
        ("identity", PHOTO),
        ("gzip", zipped(PHOTO)),
        ("x-gzip", zipped(PHOTO)),
        ("deflate", zlib.compress(PHOTO)),
        ("deflate", zlib.compress(PHOTO, wbits=-15)),
        ("gzip", zipped(PHOTO[:70_000]) + zipped(PHOTO[70_000:])),
        ("gzip", zipped(PHOTO[:999]) + zipped(b"") + b"\0" * 3000 + zipped(PHOTO[999:]) + b"\0" * 512),
        ("identity, gzip", zipped(PHOTO)),
        ("aws-chunked,gzip", zipped(PHOTO)),
        ("deflate, utf-8", zlib.compress(PHOTO)),
    ],
)
def test_a_body_is_decoded_from_every_encoding_that_servers_send_unrequested(encoding: str, body: bytes) -> None:
    assert read(body, encoding) == PHOTO


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000, 10**6])
def test_members_are_found_wherever_the_network_cuts_the_body(size: int) -> None:
    photo = pictures.jpeg(60, 40)
    body = b"".join(zipped(photo[start : start + 300]) for start in range(0, len(photo), 300))
    assert read_body(in_pieces(body, size), "gzip", len(photo), SOURCE) == photo


@pytest.mark.parametrize(
    "encoding", ["aws-chunked", "UTF-8", "binary", "none", "", "8bit", "image/jpeg", "aws-chunked, identity", "x", ","]
)
def test_what_is_not_a_content_coding_leaves_the_body_as_it_came(encoding: str) -> None:
    assert read(PHOTO, encoding) == PHOTO


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip"])
@pytest.mark.parametrize("photo", [pictures.jpeg(60, 40), pictures.saved(pictures.photo(60, 40), "PNG")])
def test_a_picture_that_was_never_encoded_is_taken_as_it_came(encoding: str, photo: bytes) -> None:
    assert read_body(in_pieces(photo, 100), encoding, len(photo), SOURCE) == photo


@pytest.mark.parametrize(("encoding", "body"), [("", PHOTO), ("gzip", zipped(PHOTO))])
def test_the_limit_counts_decoded_bytes_and_is_named(encoding: str, body: bytes) -> None:
    assert len(read(body, encoding, len(PHOTO))) == len(PHOTO)
    with pytest.raises(PermanentError, match=rf"{SOURCE}.* the limit is {len(PHOTO) - 1}") as caught:
        read(body, encoding, len(PHOTO) - 1)
    assert caught.value.reason is Reason.TOO_MANY_BYTES


def test_a_decompression_bomb_is_aborted_at_the_limit() -> None:
    bomb = gzip.compress(bytes(300_000_000), compresslevel=1)
    tracemalloc.start()
    with pytest.raises(PermanentError) as caught:
        read_body([bomb], "gzip", 1_000_000, SOURCE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.reason is Reason.TOO_MANY_BYTES
    assert peak < 4_000_000 + len(bomb)


@pytest.mark.parametrize(
    ("encoding", "body", "message"),
    [
        ("gzip", zipped(PHOTO)[:-4], "truncated"),
        ("gzip", zipped(PHOTO)[:100], "truncated"),
        ("gzip", b"\xff\xd8\xff\xe0 not gzip at all", "damaged"),
        ("gzip", b"", "truncated"),
        ("gzip", zipped(PHOTO) + zipped(PHOTO)[:-4], "truncated"),
        ("gzip", zipped(PHOTO) + b"\x1f", "truncated"),
        ("br", PHOTO, "'br', which was not requested"),
        ("gzip, gzip", zipped(zipped(PHOTO)), "not requested"),
    ],
    ids=[
        "without its checksum",
        "cut early",
        "never was gzip",
        "empty",
        "second member",
        "one byte of it",
        "unknown",
        "two layers",
    ],
)
def test_an_undecodable_body_is_a_retryable_failure(encoding: str, body: bytes, message: str) -> None:
    with pytest.raises(RetryableError, match=message) as caught:
        read(body, encoding, 2 * len(PHOTO))
    assert caught.value.reason is Reason.FETCH_FAILED


@pytest.mark.parametrize(("encoding", "body"), [("", b""), ("gzip", zipped(b""))], ids=["plain", "gzip"])
def test_an_empty_body_is_an_empty_file(encoding: str, body: bytes) -> None:
    with pytest.raises(PermanentError) as caught:
        read(body, encoding)
    assert caught.value.reason is Reason.EMPTY_FILE


def test_bytes_after_the_end_of_a_compressed_body_are_ignored() -> None:
    assert read(zipped(PHOTO) + b"\0" * 50, "gzip") == PHOTO


def test_every_error_names_the_source() -> None:
    for encoding in ("gzip", "br"):
        with pytest.raises(MediaError, match=SOURCE):
            read(b"junk", encoding)
