"""The steps of a smoke: each tests one claim, returns observed values, and raises when the claim does not hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from uuid import uuid4

import httpx

from trr_pipelines.screenalytics import bank as banks
from trr_pipelines.screenalytics.bank import FaceBank
from trr_pipelines.screenalytics.client import BackendClient
from trr_pipelines.screenalytics.factory import open_client
from trr_pipelines.screenalytics.importing import ImportResult, import_facebank_images
from trr_pipelines.screenalytics.kinds import Kind
from trr_pipelines.screenalytics.reports import approvals_untouched, no_duplicate_faces, seeds_match_backend
from trr_pipelines.settings import Settings
from trr_pipelines.smoke.clients import AdminApp, SmokeBackend, StepError, expect, json_of
from trr_pipelines.smoke.evidence import Part
from trr_pipelines.smoke.subject import Subject
from trr_pipelines.smoke.undo import Journal

GALLERY_ITEMS = 12


@dataclass(frozen=True)
class SmokeContext:
    """Clients and state shared by the steps; `admin` and `bank` are None when the smoke skips them."""

    settings: Settings
    backend: SmokeBackend
    admin: AdminApp | None
    bank: FaceBank | None
    journal: Journal
    subject: Callable[[], Subject]


Seen = Mapping[str, Any]


@dataclass(frozen=True)
class Step:
    """A claim and its test. Steps with `changes` modify the environment, and are not part of a minimal smoke."""

    part: Part
    claim: str
    run: Callable[[SmokeContext], Seen]
    changes: bool = False

    @property
    def name(self) -> str:
        return self.run.__name__


def backend_is_ready(context: SmokeContext) -> Seen:
    for path in ("/healthz", "/readyz"):
        expect(context.backend.http.get(path), httpx.codes.OK, path)
    return {}


def credentials_are_checked(context: SmokeContext) -> Seen:
    backend, subject = context.backend, context.subject()
    flag = _flag(backend, subject)
    service = backend.service_role()
    wrong = {**service, "X-TRR-Internal-Admin-Secret": "not-the-secret"}
    tried = {
        "nothing": (None, 401),
        "an unknown bearer": ({"Authorization": "Bearer unknown"}, 401),
        "the service role alone": (service, 403),
        "the service role with a wrong secret": (wrong, 403),
        "Screenalytics' token": (backend.screenalytics(), 403),
        # Sends the current value, so nothing changes.
        "both secrets": (backend.admin_app(), 200),
    }
    statuses = {}
    for credentials, (headers, status) in tried.items():
        response = backend.toggle(subject.person_id, subject.link_id, flag, headers)
        statuses[credentials] = expect(response, status, f"the toggle with {credentials}").status_code
    return statuses


def seeds_are_a_subset_of_all_photos(context: SmokeContext) -> Seen:
    backend, subject = context.backend, context.subject()
    everything = {photo["link_id"]: photo for photo in backend.photos(subject.person_id, seed_only=False)}
    seeds = {photo["link_id"] for photo in backend.photos(subject.person_id, seed_only=True)}
    flagged = {link for link, photo in everything.items() if photo["facebank_seed"]}
    if seeds != flagged:
        raise StepError(f"seed_only=true lists {len(seeds)} photos, but {len(flagged)} are flagged in seed_only=false")
    path = f"/api/v1/screenalytics/people/{subject.person_id}/photos"
    expect(backend.http.get(path), httpx.codes.UNAUTHORIZED, "photos without a token")
    return {"photos": len(everything), "seeds": len(seeds)}


def gallery_urls_return_images(context: SmokeContext) -> Seen:
    page = context.backend.read(f"people/{context.subject().person_id}/gallery", limit=GALLERY_ITEMS)
    urls: set[str] = set()
    for item in page["items"]:
        single = ("original_url", "display_url", "detail_url", "crop_display_url", "crop_detail_url")
        urls |= {item[name] for name in single if item.get(name)}
        urls |= {file["url"] for file in item.get("srcset") or () if isinstance(file, dict)}
    if not urls:
        raise StepError("the gallery contains no URLs")
    with httpx.Client(timeout=30, trust_env=False) as anonymous:
        for url in sorted(urls):
            response = expect(anonymous.get(url, headers={"Range": "bytes=0-0"}), httpx.codes.PARTIAL_CONTENT, url)
            content_type = response.headers.get("content-type", "")
            if not content_type.startswith("image/"):
                raise StepError(f"{url} has content type {content_type or 'none'}, expected an image")
    return {"photos": len(page["items"]), "urls": len(urls)}


def slugs_resolve_to_the_canonical_one(context: SmokeContext) -> Seen:
    slug = context.subject().slug
    resolved = context.backend.read(f"slugs/people/{slug.upper()}")["canonical_slug"]
    if resolved != slug:
        raise StepError(f"slug {slug.upper()} resolves to {resolved}, expected {slug}")
    path = f"/api/v1/admin/slugs/people/{uuid4()}"
    expect(
        context.backend.http.get(path, headers=context.backend.admin_app()), httpx.codes.NOT_FOUND, "an unknown slug"
    )
    return {"asked": slug.upper(), "canonical": slug}


def admin_is_ready(context: SmokeContext) -> Seen:
    expect(_admin(context).http.get("/healthz"), httpx.codes.OK, "/healthz of the admin app")
    return {}


def unauthorised_toggles_are_rejected(context: SmokeContext) -> Seen:
    admin, subject = _admin(context), context.subject()
    anonymous = admin.toggle(subject.person_id, subject.link_id, True).status_code
    if anonymous not in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise StepError(f"the toggle without a session: status {anonymous}, expected 401 or 403")
    admin.sign_in()
    foreign = admin.toggle(subject.person_id, subject.link_id, True, origin="https://elsewhere.example")
    expect(foreign, httpx.codes.FORBIDDEN, "the toggle with a foreign Origin")
    return {"without a session": anonymous, "from another site": foreign.status_code}


def old_addresses_redirect(context: SmokeContext) -> Seen:
    admin, subject = _admin(context), context.subject()
    admin.sign_in()
    canonical = f"/admin/trr-people/{subject.slug}"
    tried = {
        f"/admin/trr-people/{subject.person_id}?sort=newest": f"{canonical}?sort=newest",
        f"/admin/trr-people/{subject.slug.upper()}": canonical,
    }
    for path, target in tried.items():
        response = admin.http.get(path)
        location = response.headers.get("location", "")
        if response.status_code not in (301, 308) or not location.endswith(target):
            raise StepError(
                f"{path}: status {response.status_code} to {location or 'nowhere'}, expected 308 to {target}"
            )
    expect(admin.http.get(f"/admin/trr-people/{uuid4()}"), httpx.codes.NOT_FOUND, "an unknown person")
    return tried


def toggle_through_the_proxy(context: SmokeContext) -> Seen:
    admin, subject = _admin(context), context.subject()
    admin.sign_in()
    before = _flag(context.backend, subject)
    _note_flag(context, subject, before)
    answers = []
    for value in (not before, before):
        answer = json_of(admin.toggle(subject.person_id, subject.link_id, value), "the toggle through the proxy")
        expected = {
            "link_id": str(subject.link_id),
            "person_id": str(subject.person_id),
            "facebank_seed": value,
        }
        if answer != expected:
            raise StepError(f"the proxy returned {answer}, expected {expected}")
        if _flag(context.backend, subject) is not value:
            raise StepError(f"the backend does not list the photo as facebank_seed={value} after the toggle")
        answers.append(answer)
    return {"answers": answers}


def face_bank_is_complete(context: SmokeContext) -> Seen:
    with _bank(context).connect() as session:
        return {"database": session.conn.info.dbname, "kind": str(session.kind)}


def token_reads_photos_and_nothing_else(context: SmokeContext) -> Seen:
    backend = context.backend
    count = len(backend.photos(context.subject().person_id, seed_only=False))
    response = backend.http.get("/api/v1/admin/people", headers=backend.screenalytics())
    expect(response, httpx.codes.FORBIDDEN, "an admin route with Screenalytics' token")
    return {"photos": count}


def unseeded_person_falls_back(context: SmokeContext) -> Seen:
    result = _import(context)
    _require(result, "fallback_unseeded", [True, False])
    _require_rows(context, seeds=0)
    return result.report()


def seeded_person_needs_one_call(context: SmokeContext) -> Seen:
    subject = context.subject()
    _note_flag(context, subject, _flag(context.backend, subject))
    response = context.backend.toggle(subject.person_id, subject.link_id, True, context.backend.admin_app())
    expect(response, httpx.codes.OK, "flagging a seed")
    result = _import(context)
    _require(result, "seeded", [True])
    _require_rows(context, seeds=1)
    again = _import(context)
    if again.inserted or again.updated:
        raise StepError(f"a second import inserted {again.inserted} and updated {again.updated} rows, expected 0")
    with _client(context) as client:
        claims = (
            no_duplicate_faces(_bank(context), subject.person_id),
            approvals_untouched(_bank(context), subject.person_id),
            seeds_match_backend(_bank(context), client, subject.person_id),
        )
    for claim in claims:
        if claim.broken:
            raise StepError(f"{len(claim.broken)} face bank rows violate a check, such as {claim.broken[0]}")
    return {"first": result.report(), "again": again.report()}


STEPS = (
    Step(Part.BACKEND, "healthy, and its database schema matches the code", backend_is_ready),
    Step(Part.BACKEND, "401, 403, 403, 200: a toggle needs both secrets", credentials_are_checked),
    Step(
        Part.BACKEND,
        "seed_only=true lists the photos flagged in seed_only=false",
        seeds_are_a_subset_of_all_photos,
    ),
    Step(Part.BACKEND, "every URL of a gallery returns an image", gallery_urls_return_images),
    Step(Part.BACKEND, "a slug in upper case resolves to the canonical slug", slugs_resolve_to_the_canonical_one),
    Step(Part.ADMIN, "healthy", admin_is_ready),
    Step(Part.ADMIN, "toggles without a session or from another site are rejected", unauthorised_toggles_are_rejected),
    Step(Part.ADMIN, "ids and upper-case slugs redirect and keep the query", old_addresses_redirect),
    Step(Part.ADMIN, "a flag can be set and cleared through the proxy", toggle_through_the_proxy, changes=True),
    Step(Part.SCREENALYTICS, "its database has every table", face_bank_is_complete),
    Step(Part.SCREENALYTICS, "its token can read photos only", token_reads_photos_and_nothing_else),
    Step(
        Part.SCREENALYTICS,
        "without seeds: requests seeds, then the others; the first photos, none approved or duplicated",
        unseeded_person_falls_back,
        changes=True,
    ),
    Step(
        Part.SCREENALYTICS,
        "with a seed: one request; is_seed, not approved, no duplicates; a second import changes nothing",
        seeded_person_needs_one_call,
        changes=True,
    ),
)


def _admin(context: SmokeContext) -> AdminApp:
    assert context.admin is not None
    return context.admin


def _bank(context: SmokeContext) -> FaceBank:
    assert context.bank is not None
    return context.bank


def _client(context: SmokeContext) -> BackendClient:
    return open_client(context.settings)


def _flag(backend: SmokeBackend, subject: Subject) -> bool:
    seeds = backend.photos(subject.person_id, seed_only=True)
    return any(photo["link_id"] == str(subject.link_id) for photo in seeds)


def _note_flag(context: SmokeContext, subject: Subject, value: bool) -> None:
    context.journal.note("flag", person=str(subject.person_id), link=str(subject.link_id), value=value)


def _import(context: SmokeContext) -> ImportResult:
    subject = context.subject()
    snapshot = banks.take_snapshot(_bank(context), subject.person_id)
    context.journal.note("faces", person=str(subject.person_id), **asdict(snapshot))
    with _client(context) as client:
        return import_facebank_images(_bank(context), client, subject.person_id)


def _require(result: ImportResult, outcome: str, requested: list[bool]) -> None:
    calls = [call.seed_only for call in result.calls if call.page == 0]
    if result.outcome != outcome or calls != requested:
        raise StepError(
            f"outcome {result.outcome} after requests with seed_only={calls}, expected {outcome} after {requested}"
        )


def _require_rows(context: SmokeContext, *, seeds: int) -> None:
    subject = context.subject()
    rows = banks.faces(_bank(context), subject.person_id)
    flagged = [row for row in rows if row["is_seed"]]
    with _bank(context).connect() as session:
        if session.kind is Kind.APPLICATION:  # each of its rows is a seed
            seeds = len(rows)
    if len(flagged) != seeds or (seeds == 1 and flagged[0]["link_id"] != subject.link_id):
        raise StepError(f"{len(flagged)} face bank rows are seeds, expected {seeds}")
    if any(row["approved"] and row["reviewed_by"] is None for row in flagged):
        raise StepError("a new seed is approved without a reviewer")
    if len({row["media_asset_id"] for row in rows}) != len(rows):
        raise StepError("a photo is listed twice for one person")
