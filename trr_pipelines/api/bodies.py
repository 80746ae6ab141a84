"""Checks of a request body before it is parsed: type, size, and unambiguous JSON."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from fastapi import Request
from fastapi.exceptions import RequestValidationError

from trr_pipelines.api.problems import Refusal
from trr_pipelines.web.bodies import read_at_most

JSON = "application/json"


async def require_readable_body(request: Request, media_type: str, limit: int) -> None:
    """Read the body into the request. Raises Refusal: 415 for another type, 413 above `limit` bytes.

    `media_type` is exact, or a family such as `image/*`. Raises RequestValidationError if it is JSON and the body is
    not. A body without Content-Length is counted as it arrives.
    """
    headers = request.headers
    announced = headers.get("content-length", "")
    has_body = announced not in ("", "0") or "transfer-encoding" in headers
    # Two types match none: a proxy in front of us may have read the other one.
    sent = ", ".join(headers.getlist("content-type")).partition(";")[0].strip().lower()
    if request.method in ("GET", "HEAD") or not (has_body or sent):
        return
    if not _matches(sent, media_type):
        raise Refusal(415, f"the body is {sent or 'without a type'}, {media_type} is required")
    if announced.isdigit() and int(announced) > limit:
        raise Refusal(413, f"the body has {int(announced):,} bytes, the limit is {limit:,}")
    body = await read_at_most(request, limit)
    request._body = body  # the cache of Request.body()
    if media_type == JSON and body:
        request._json = parse_json(body)  # the cache of Request.json()


def parse_json(body: bytes) -> Any:
    """Parse JSON that has one meaning only (RFC 8259 leaves some open) and that Python can represent.

    Raises RequestValidationError for another encoding than UTF-8, duplicate fields, NaN and Infinity, numbers of
    thousands of digits, and nesting beyond Python's limit of about a thousand levels.
    """
    try:
        return json.loads(body.decode(), object_pairs_hook=_distinct, parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        problem = "not UTF-8"
    except json.JSONDecodeError as error:
        problem = f"not JSON: {error.msg} at character {error.pos}"
    except RecursionError:
        problem = "nested too deeply"
    except ValueError as error:
        problem = str(error).partition(";")[0]
    raise RequestValidationError([{"type": "json_invalid", "loc": ("body",), "msg": problem}])


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("duplicate field")
    return fields


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _matches(sent: str, media_type: str) -> bool:
    family, _, kind = media_type.partition("/")
    return sent == media_type or (kind == "*" and sent.startswith(f"{family}/"))
