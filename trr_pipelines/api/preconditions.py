"""What a writer saw before it writes (RFC 9110, 13.1): a strong entity tag, or that there was nothing yet."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header, Request

from trr_pipelines.api.problems import Refusal

_IF_MATCH = "the signature that the edit is made for, quoted or bare"
_IF_NONE_MATCH = "`*`: the edit is the first"


def etag(signature: str) -> dict[str, str]:
    """The headers that tell a caller what to send as `If-Match` next; none where there is no signature."""
    return {"ETag": f'"{signature}"'} if signature else {}


def _expected(
    request: Request,
    if_match: Annotated[str | None, Header(description=_IF_MATCH)] = None,
    if_none_match: Annotated[str | None, Header(description=_IF_NONE_MATCH)] = None,
) -> str:
    """The signature that the caller saw; empty for none.

    Raises Refusal: 428 without a condition, 422 for one that says nothing, 412 for a tag that can match nothing.
    """
    if if_match is not None and if_none_match is not None:
        raise Refusal(422, "If-Match and If-None-Match exclude each other")
    if if_none_match is not None:
        if if_none_match.strip() != "*":
            raise Refusal(422, f"If-None-Match must be *, not {if_none_match[:80]}")
        return ""
    # What is sent twice counts as a list (RFC 9110, 5.3), and no signature has a comma.
    tag = ", ".join(request.headers.getlist("if-match")).strip()
    if tag in ("", "*"):
        raise Refusal(428, "If-Match with the current signature is needed, or If-None-Match: * for a first one")
    if tag.startswith("W/"):
        raise Refusal(412, f"If-Match compares strongly, and {tag[:80]} is a weak tag")
    is_quoted = len(tag) > 1 and tag[0] == tag[-1] == '"'
    # An empty tag was never given by us; it must not pass as "none was seen".
    return (tag[1:-1] if is_quoted else tag) or '""'


ExpectedSignature = Annotated[str, Depends(_expected)]
