"""Forms as browsers post them without scripts: signing in and out, and the star."""

from __future__ import annotations

from urllib.parse import parse_qs

from starlette.requests import Request

from trr_pipelines.web.bodies import read_at_most
from trr_pipelines.web.problems import Refusal

FORM_TYPE = "application/x-www-form-urlencoded"
MAX_FORM = 32_000  # bytes; the longest token that is looked at has 8,192


def is_form(request: Request) -> bool:
    """Whether the body is said to be a form."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == FORM_TYPE


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form, the last of each name. Raises Refusal: 415 for another type, 413 above 32,000 bytes."""
    if not is_form(request):
        raise Refusal(415, f"a form is needed ({FORM_TYPE})")
    body = await read_at_most(request, MAX_FORM, "form")
    try:
        fields = parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=20)
    except ValueError:
        raise Refusal(422, "the form cannot be read") from None
    return {name: values[-1] for name, values in fields.items()}
