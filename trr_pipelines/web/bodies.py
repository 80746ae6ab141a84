"""Reading request bodies up to a limit."""

from __future__ import annotations

from starlette.requests import Request

from trr_pipelines.web.problems import Refusal


async def read_at_most(request: Request, limit: int, what: str = "body") -> bytes:
    """The body, counted as it arrives; Content-Length is not trusted. Raises Refusal: 413 above `limit` bytes."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise Refusal(413, f"the {what} has more than {limit:,} bytes")
    return bytes(body)
