"""Forms that browsers post without scripts: sign-in, sign-out, and the star."""

from __future__ import annotations

from urllib.parse import parse_qs

from starlette.requests import Request

from trr_pipelines.web.bodies import read_at_most
from trr_pipelines.web.problems import Refusal

FORM_TYPE = "application/x-www-form-urlencoded"
MAX_FORM = 16_000  # bytes; the longest accepted sign-in token has 8,192, and the longest `next` 6,000 when encoded


def is_form(request: Request) -> bool:
    """Whether the request's content type is that of a form."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == FORM_TYPE


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form, the last of each name. Raises Refusal: 415 for another type, 413 above 16,000 bytes."""
    if not is_form(request):
        raise Refusal(415, f"the body must be a form ({FORM_TYPE})")
    body = await read_at_most(request, MAX_FORM, "form")
    try:
        fields = parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=20)
    except ValueError:
        raise Refusal(422, "the form cannot be parsed") from None
    return {name: values[-1] for name, values in fields.items()}
