"""The page of one photo: its served files and the reasons, its crop and history, and replacing its original."""

from __future__ import annotations

import asyncio
import re
from typing import Any
from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trr_pipelines.admin.backend import BackendRequestError
from trr_pipelines.admin.backend_reader import BackendReader
from trr_pipelines.admin.routes.redirects import ROOTS
from trr_pipelines.admin.tiles import REASONS

_UUID = re.compile(r"[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")


async def photo(request: Request) -> Response:
    """The page of one photo, from three backend reads.

    With `link` in the query, or if all its links have crops of their own and there is one, the editor is of that link.
    """
    reader = BackendReader.of(request)
    if not _UUID.fullmatch(request.path_params["id"]):
        raise HTTPException(404, "Photo not found.")
    id = str(UUID(request.path_params["id"]))
    try:
        asset, why, crops = await asyncio.gather(
            reader.read("media-assets", id),
            reader.read("media-assets", id, "explain"),
            reader.read("media-assets", id, "crops", query=[("limit", "30")]),
        )
    except BackendRequestError as error:
        raise (HTTPException(404, "Photo not found.") if error.status == 404 else error) from None
    links = asset["links"]
    link = _edited_link(links, request.query_params.get("link", ""))
    cropped = asset if link is None else link
    captions = [link["caption"] for link in links if link["caption"]]
    title = captions[0] if captions else f"Photo from {asset['source']}"
    response: Response = request.app.state.templates.page(
        request,
        "photo.html",
        reader.session,
        asset=asset,
        why=why,
        crops=crops["crops"],
        link=link,
        crop=cropped["crop"],
        crop_detail_url=cropped["crop_detail_url"],
        signature=(cropped["crop"] or {}).get("signature", ""),
        has_editor=link is not None or not links or not all(link["has_own_crop"] for link in links),
        title=title,
        crumbs=[*_above(links), (title, "")],
        galleries=[_gallery(link) for link in links],
        edited_gallery=_gallery(link)[0] if link else "",
        own_crops=[(_gallery(one)[0], f"?link={one['link_id']}") for one in links],
        reasons=REASONS,
        is_open=any(entry["state"] == "pending" for entry in asset["generations"]),
    )
    return response


def _edited_link(links: list[dict[str, Any]], wanted: str) -> dict[str, Any] | None:
    """The link whose own crop is shown and edited; None for the photo's active crop."""
    chosen = [link for link in links if link["link_id"] == wanted.lower()]
    if not chosen and len(links) == 1 and links[0]["has_own_crop"]:
        chosen = links
    return chosen[0] if chosen else None


ROUTES = [Route("/admin/photos/{id}", photo)]


def _gallery(link: dict[str, Any]) -> tuple[str, str]:
    """Name and address of a gallery of the photo. The address has the id and redirects to the slug."""
    if link["person_id"]:
        return link["full_name"] or "Person", f"{ROOTS['people']}/{link['person_id']}/media-gallery"
    name = link["title"] or "Show"
    if link["season"] is None:
        return name, f"{ROOTS['shows']}/{link['show_id']}"
    return f"{name}, season {link['season']}", f"{ROOTS['shows']}/{link['show_id']}/season-{link['season']}"


def _above(links: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Breadcrumbs above the photo: its first show if it has one, else its first person."""
    ordered = sorted(links, key=lambda link: link["person_id"] is not None)
    if not ordered:
        return [("Shows", ROOTS["shows"])]
    family = "people" if ordered[0]["person_id"] else "shows"
    return [("People", ROOTS["people"]) if family == "people" else ("Shows", ROOTS["shows"]), _gallery(ordered[0])]
