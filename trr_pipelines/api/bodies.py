"""What a request's body must be before anything reads it: of the right type, not too large, JSON without a doubt."""

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

    Raises RequestValidationError for what is no JSON where that is asked for. `media_type` is exact, or a family such
    as `image/*`. A length that is not announced is counted as it arrives.
    """
    headers = request.headers
    announced = headers.get("content-length", "")
    has_body = announced not in ("", "0") or "transfer-encoding" in headers
    # Two types are none: nobody could say which one a proxy in front of us looked at.
    sent = ", ".join(headers.getlist("content-type")).partition(";")[0].strip().lower()
    if request.method in ("GET", "HEAD") or not (has_body or sent):
        return
    if not _matches(sent, media_type):
        raise Refusal(415, f"the body is {sent or 'of no type'}, {media_type} is needed")
    if announced.isdigit() and int(announced) > limit:
        raise Refusal(413, f"the body has {int(announced):,} bytes, the limit is {limit:,}")
    body = await read_at_most(request, limit)
    request._body = body  # where Request.body() keeps what it has read
    if media_type == JSON and body:
        request._json = parse_json(body)  # and Request.json()


def parse_json(body: bytes) -> Any:
    """What `body` holds. Raises RequestValidationError for what RFC 8259 leaves in doubt, or Python cannot hold.

    That is another encoding than UTF-8, a field that is named twice, NaN and Infinity, numbers of thousands of digits,
    and nesting beyond Python's thousand or so levels.
    """
    try:
        return json.loads(body.decode(), object_pairs_hook=_distinct, parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        problem = "not UTF-8"
    except json.JSONDecodeError as error:
        problem = f"not JSON: {error.msg} at character {error.pos}"
    except RecursionError:
        problem = "nested too deep"
    except ValueError as error:
        problem = str(error).partition(";")[0]
    raise RequestValidationError([{"type": "json_invalid", "loc": ("body",), "msg": problem}])


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a field is named twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _matches(sent: str, media_type: str) -> bool:
    family, _, kind = media_type.partition("/")
    return sent == media_type or (kind == "*" and sent.startswith(f"{family}/"))
