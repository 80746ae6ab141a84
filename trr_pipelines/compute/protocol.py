"""The messages between a run and its render processes: a JSON head and a body of bytes, each with its length.

Replies come from a process that has just decoded untrusted bytes: nothing in them is unpickled, and nothing longer
than the limits is read.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict
from typing import Any

from trr_pipelines.errors import InputError, MediaError, PermanentError, Reason, RetryableError
from trr_pipelines.imaging.decode import SourceInfo
from trr_pipelines.imaging.geometry import Crop
from trr_pipelines.imaging.recipes import EncoderOptions, QuantCurve, Recipe, Target
from trr_pipelines.imaging.render import Rendered, RenderedVariant, RenderRequest

LENGTHS = struct.Struct(">IQ")
"""Bytes of the head, bytes of the body."""

MAX_HEAD_BYTES = 1_000_000
MAX_BODY_BYTES = 256_000_000
"""The largest valid reply: twice a PNG of 1440 × 16,383 pixels with noise in every channel."""


class ProtocolError(Exception):
    """The received bytes are not a valid message."""


def frame(head: dict[str, Any], *body: bytes) -> list[bytes]:
    """The pieces of a message to write; a photo of 50 MB is not copied behind its head."""
    encoded = json.dumps(head, separators=(",", ":")).encode()
    return [LENGTHS.pack(len(encoded), sum(map(len, body))) + encoded, *body]


def lengths(prefix: bytes) -> tuple[int, int]:
    """The lengths of head and body in `prefix`.

    Raises:
        ProtocolError: above the limits.
    """
    head, body = LENGTHS.unpack(prefix)
    if head > MAX_HEAD_BYTES or body > MAX_BODY_BYTES:
        raise ProtocolError(
            f"a message of {head:,} + {body:,} bytes, the limit is {MAX_HEAD_BYTES:,} + {MAX_BODY_BYTES:,}"
        )
    return head, body


def request_head(request: RenderRequest, name: str) -> dict[str, Any]:
    return {"name": name, **asdict(request)}


def parse_request(head: dict[str, Any]) -> RenderRequest:
    return RenderRequest(
        base=_recipe(head["base"]),
        crop_recipe=_recipe(head["crop_recipe"]),
        crops=tuple(_crop(fields) for fields in head["crops"]),
        on_white=bool(head["on_white"]),
    )


def _crop(fields: dict[str, Any] | None) -> Crop | None:
    return None if fields is None else Crop(**fields)


def _recipe(fields: dict[str, Any] | None) -> Recipe | None:
    if fields is None:
        return None
    return Recipe(
        kind=fields["kind"],
        targets=tuple(Target(**target) for target in fields["targets"]),
        formats=tuple(fields["formats"]),
        transparent_formats=tuple(fields["transparent_formats"]),
        encoder=_encoder(fields["encoder"]),
        codec_epoch=fields["codec_epoch"],
    )


def _encoder(fields: dict[str, Any]) -> EncoderOptions:
    curves = {name: QuantCurve(**fields[name]) for name in ("jpeg_luma", "jpeg_chroma")}
    return EncoderOptions(**{**fields, **curves})


def reply(rendered: Rendered, resident_bytes: int) -> list[bytes]:
    """The reply with the variants of a photo; `resident_bytes` is the current memory of the process."""
    variants = [
        {
            "variant_key": variant.variant_key,
            "format": variant.format,
            "width": variant.width,
            "height": variant.height,
            "bytes": len(variant.data),
            "crop": asdict(variant.crop) if variant.crop else None,
        }
        for variant in rendered.variants
    ]
    head = {
        "resident_bytes": resident_bytes,
        "source": asdict(rendered.source),
        "variants": variants,
        "proposal": asdict(rendered.proposal) if rendered.proposal else None,
        "proposal_reason": rendered.proposal_reason,
        "placeholder": rendered.placeholder,
        "dominant_color": rendered.dominant_color,
        "warnings": rendered.warnings,
        "unfit": rendered.unfit,
    }
    return frame(head, *(variant.data for variant in rendered.variants))


def failure(error: MediaError, resident_bytes: int) -> list[bytes]:
    """The reply for a photo that cannot be rendered."""
    head = {"reason": error.reason, "detail": error.detail[:1000], "is_retryable": isinstance(error, RetryableError)}
    return frame({"resident_bytes": resident_bytes, **head})


def parse_reply(head: bytes, body: bytes) -> tuple[Rendered | MediaError, int]:
    """The result or error of a reply, and the resident bytes of the process that sent it.

    Raises:
        ProtocolError: the reply is malformed.
    """
    try:
        fields = json.loads(head)
        resident_bytes = int(fields["resident_bytes"])
        if "reason" in fields:
            kind = RetryableError if fields["is_retryable"] else PermanentError
            return kind(Reason(fields["reason"]), str(fields["detail"])), resident_bytes
        return _rendered(fields, body), resident_bytes
    except (ValueError, KeyError, TypeError, AttributeError, InputError) as error:
        raise ProtocolError(f"a malformed reply: {error!r}") from error


def _rendered(fields: dict[str, Any], body: bytes) -> Rendered:
    variants = []
    at = 0
    for item in fields["variants"]:
        end = at + int(item.pop("bytes"))
        variants.append(RenderedVariant(**{**item, "crop": _crop(item["crop"])}, data=body[at:end]))
        at = end
    if at != len(body):
        raise ValueError(f"variants of {at} bytes in a body of {len(body)}")
    return Rendered(
        source=SourceInfo(**fields["source"]),
        variants=tuple(variants),
        proposal=_crop(fields["proposal"]),
        proposal_reason=fields["proposal_reason"],
        placeholder=fields["placeholder"],
        dominant_color=fields["dominant_color"],
        warnings=tuple(fields["warnings"]),
        unfit=tuple(fields["unfit"]),
    )
