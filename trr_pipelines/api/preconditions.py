"""Preconditions of edits (RFC 9110, 13.1): the strong entity tag the author saw, or that there was none."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header, Request

from trr_pipelines.api.problems import Refusal

_IF_MATCH = "the current signature, quoted or bare"
_IF_NONE_MATCH = "`*`: this is the first edit"


def etag(signature: str) -> dict[str, str]:
    """The ETag header, to be sent as `If-Match` with the next edit; empty without a signature."""
    return {"ETag": f'"{signature}"'} if signature else {}


def _expected(
    request: Request,
    if_match: Annotated[str | None, Header(description=_IF_MATCH)] = None,
    if_none_match: Annotated[str | None, Header(description=_IF_NONE_MATCH)] = None,
) -> str:
    """The signature that the caller saw; empty for none.

    Raises Refusal: 428 without a precondition, 422 for an invalid one, 412 for a tag that cannot match.
    """
    if if_match is not None and if_none_match is not None:
        raise Refusal(422, "If-Match and If-None-Match exclude each other")
    if if_none_match is not None:
        if if_none_match.strip() != "*":
            raise Refusal(422, f"If-None-Match must be *, not {if_none_match[:80]}")
        return ""
    # Repeated headers are a list (RFC 9110, 5.3), and no signature has a comma.
    tag = ", ".join(request.headers.getlist("if-match")).strip()
    if tag in ("", "*"):
        raise Refusal(428, "If-Match with the current signature is required, or If-None-Match: * for a first edit")
    if tag.startswith("W/"):
        raise Refusal(412, f"If-Match compares strongly, and {tag[:80]} is a weak tag")
    is_quoted = len(tag) > 1 and tag[0] == tag[-1] == '"'
    # We never send an empty tag; it must not pass as "there was none".
    return (tag[1:-1] if is_quoted else tag) or '""'


ExpectedSignature = Annotated[str, Depends(_expected)]
