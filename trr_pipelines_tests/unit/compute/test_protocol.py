"""The messages between a run and its render processes: round trips and refusals."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trr_pipelines.compute import protocol
from trr_pipelines.errors import MediaError, PermanentError, Reason, RetryableError
from trr_pipelines.imaging.decode import SourceInfo
from trr_pipelines.imaging.geometry import Crop
from trr_pipelines.imaging.recipes import BASE, CROP
from trr_pipelines.imaging.render import Rendered, RenderedVariant, RenderRequest

RENDERED = Rendered(
    source=SourceInfo("jpeg", 40, 30, 1),
    variants=(RenderedVariant("thumb", "webp", 40, 30, b"first"), RenderedVariant("thumb", "jpeg", 40, 30, b"second")),
    proposal=Crop("auto", 50, 33.333, 1),
    proposal_reason="upper third",
    placeholder="abc=",
    dominant_color="#102030",
    warnings=("one",),
    unfit=("metadata",),
)


def split(pieces: list[bytes]) -> tuple[bytes, bytes]:
    message = b"".join(pieces)
    head, body = protocol.lengths(message[: protocol.LENGTHS.size])
    rest = message[protocol.LENGTHS.size :]
    assert len(rest) == head + body
    return rest[:head], rest[head:]


@pytest.mark.parametrize(
    "request_",
    [
        RenderRequest(BASE, CROP),
        RenderRequest(BASE, None),
        RenderRequest(None, CROP, (Crop("manual", 1.2345, 99, 4), None)),
    ],
)
def test_a_request_arrives_as_it_was_sent(request_: RenderRequest) -> None:
    head, body = split(protocol.frame(protocol.request_head(request_, "a.jpg"), b"photo"))
    assert protocol.parse_request(json.loads(head)) == request_
    assert body == b"photo"


def test_a_reply_arrives_as_it_was_sent() -> None:
    assert protocol.parse_reply(*split(protocol.reply(RENDERED, 123))) == (RENDERED, 123)


@pytest.mark.parametrize("kind", [PermanentError, RetryableError])
def test_a_failure_arrives_with_its_kind_and_reason(kind: type[MediaError]) -> None:
    error, resident = protocol.parse_reply(*split(protocol.failure(kind(Reason.CORRUPT, "bad"), 9)))
    assert isinstance(error, kind)
    assert (error.reason, error.detail, resident) == (Reason.CORRUPT, "bad", 9)


def answer_with(**changes: Any) -> bytes:
    head, _ = split(protocol.reply(RENDERED, 0))
    return json.dumps({**json.loads(head), **changes}).encode()


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff",
        answer_with(resident_bytes=None),
        answer_with(variants=[{"variant_key": "thumb"}]),
        answer_with(variants=[]),
        answer_with(source={"format": "jpeg"}),
        answer_with(proposal={"mode": "auto", "x": 500, "y": 0, "zoom": 1}),
        b'{"resident_bytes": 0, "reason": "made up", "detail": "", "is_retryable": false}',
    ],
)
def test_a_malformed_reply_is_refused(head: bytes) -> None:
    with pytest.raises(protocol.ProtocolError):
        protocol.parse_reply(head, b"firstsecond")


@pytest.mark.parametrize(("head", "body"), [(protocol.MAX_HEAD_BYTES + 1, 0), (0, protocol.MAX_BODY_BYTES + 1)])
def test_a_message_above_the_limits_is_refused_before_it_is_read(head: int, body: int) -> None:
    with pytest.raises(protocol.ProtocolError, match="the limit is"):
        protocol.lengths(protocol.LENGTHS.pack(head, body))
