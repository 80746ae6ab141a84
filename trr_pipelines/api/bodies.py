"""What a request's body must be before anything reads it: of the right type, and not too large."""

from __future__ import annotations

from fastapi import Request

from trr_pipelines.api.problems import Refusal


async def require_readable_body(request: Request, media_type: str, limit: int) -> None:
    """Read the body into the request. Raises Refusal: 415 for another type, 413 above `limit` bytes.

    `media_type` is exact, or a family such as `image/*`. A length that is not announced is counted as it arrives.
    """
    headers = request.headers
    announced = headers.get("content-length", "")
    has_body = announced not in ("", "0") or "transfer-encoding" in headers
    sent = headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.method in ("GET", "HEAD") or not (has_body or sent):
        return
    if not _matches(sent, media_type):
        raise Refusal(415, f"the body is {sent or 'of no type'}, {media_type} is needed")
    if announced.isdigit() and int(announced) > limit:
        raise Refusal(413, f"the body has {int(announced):,} bytes, the limit is {limit:,}")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise Refusal(413, f"the body has more than {limit:,} bytes")
    request._body = bytes(body)  # where Request.body() keeps what it has read


def _matches(sent: str, media_type: str) -> bool:
    family, _, kind = media_type.partition("/")
    return sent == media_type or (kind == "*" and sent.startswith(f"{family}/"))
