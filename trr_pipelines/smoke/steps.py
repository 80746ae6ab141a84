"""The steps of a smoke: each tries one claim, returns what it saw, and raises when the claim does not hold."""

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
from trr_pipelines.screenalytics.reports import approvals_untouched, no_duplicate_faces, seeds_match_backend
from trr_pipelines.settings import Settings
from trr_pipelines.smoke.clients import AdminApp, SmokeBackend, StepError, expect, json_of
from trr_pipelines.smoke.evidence import Part
from trr_pipelines.smoke.subject import Subject
from trr_pipelines.smoke.undo import Journal

GALLERY_ITEMS = 12


@dataclass(frozen=True)
class SmokeContext:
    """What the steps work on; `admin` and `bank` are None where the smoke leaves them out."""

    settings: Settings
    backend: SmokeBackend
    admin: AdminApp | None
    bank: FaceBank | None
    journal: Journal
    subject: Callable[[], Subject]


Seen = Mapping[str, Any]


@dataclass(frozen=True)
class Step:
    """A claim and how it is tried. `changes` says that it leaves something to be put back: not in a minimal smoke."""

    part: Part
    claim: str
    run: Callable[[SmokeContext], Seen]
    changes: bool = False

    @property
    def name(self) -> str:
        return self.run.__name__


def backend_is_ready(world: SmokeContext) -> Seen:
    for path in ("/healthz", "/readyz"):
        expect(world.backend.http.get(path), httpx.codes.OK, path)
    return {}


def callers_are_told_apart(world: SmokeContext) -> Seen:
    backend, subject = world.backend, world.subject()
    flag = _flag(backend, subject)
    service = backend.service_role()
    wrong = {**service, "X-TRR-Internal-Admin-Secret": "not-the-secret"}
    tried = {
        "nothing": (None, 401),
        "an unknown bearer": ({"Authorization": "Bearer nobody"}, 401),
        "the service role alone": (service, 403),
        "the service role with a wrong secret": (wrong, 403),
        "Screenalytics' token": (backend.screenalytics(), 403),
        # The value that it has already: allowed, and nothing changes.
        "both secrets": (backend.admin_app(), 200),
    }
    seen = {}
    for who, (headers, status) in tried.items():
        answer = backend.toggle(subject.person_id, subject.link_id, flag, headers)
        seen[who] = expect(answer, status, f"the toggle with {who}").status_code
    return seen


def seeds_are_a_subset_of_all_photos(world: SmokeContext) -> Seen:
    backend, subject = world.backend, world.subject()
    everything = {photo["link_id"]: photo for photo in backend.photos(subject.person_id, seed_only=False)}
    seeds = {photo["link_id"] for photo in backend.photos(subject.person_id, seed_only=True)}
    flagged = {link for link, photo in everything.items() if photo["facebank_seed"]}
    if seeds != flagged:
        raise StepError(f"seed_only=true lists {len(seeds)} photos, {len(flagged)} of all are flagged")
    path = f"/api/v1/screenalytics/people/{subject.person_id}/photos"
    expect(backend.http.get(path), httpx.codes.UNAUTHORIZED, "photos without a token")
    return {"photos": len(everything), "seeds": len(seeds)}


def gallery_urls_are_alive(world: SmokeContext) -> Seen:
    page = world.backend.read(f"people/{world.subject().person_id}/gallery", limit=GALLERY_ITEMS)
    urls: set[str] = set()
    for item in page["items"]:
        single = ("original_url", "display_url", "detail_url", "crop_display_url", "crop_detail_url")
        urls |= {item[name] for name in single if item.get(name)}
        urls |= {file["url"] for file in item.get("srcset") or () if isinstance(file, dict)}
    if not urls:
        raise StepError("the gallery names no URL at all")
    with httpx.Client(timeout=30, trust_env=False) as anybody:
        for url in sorted(urls):
            answer = expect(anybody.get(url, headers={"Range": "bytes=0-0"}), httpx.codes.PARTIAL_CONTENT, url)
            if not answer.headers.get("content-type", "").startswith("image/"):
                raise StepError(f"{url} is {answer.headers.get('content-type', 'of no type')}, not an image")
    return {"photos": len(page["items"]), "urls": len(urls)}


def slugs_lead_to_the_canonical_one(world: SmokeContext) -> Seen:
    slug = world.subject().slug
    found = world.backend.read(f"slugs/people/{slug.upper()}")
    if found["canonical_slug"] != slug:
        raise StepError(f"{slug.upper()} leads to {found['canonical_slug']}, not to {slug}")
    path = f"/api/v1/admin/slugs/people/{uuid4()}"
    expect(world.backend.http.get(path, headers=world.backend.admin_app()), httpx.codes.NOT_FOUND, "a foreign slug")
    return {"asked": slug.upper(), "canonical": slug}


def admin_is_ready(world: SmokeContext) -> Seen:
    expect(_admin(world).http.get("/healthz"), httpx.codes.OK, "/healthz of the admin app")
    return {}


def strangers_are_kept_out(world: SmokeContext) -> Seen:
    admin, subject = _admin(world), world.subject()
    anonymous = admin.toggle(subject.person_id, subject.link_id, True).status_code
    if anonymous not in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise StepError(f"a toggle without a session: status {anonymous}, expected 401 or 403")
    admin.sign_in()
    foreign = admin.toggle(subject.person_id, subject.link_id, True, origin="https://elsewhere.example")
    expect(foreign, httpx.codes.FORBIDDEN, "a toggle that another site sends")
    return {"without a session": anonymous, "from another site": foreign.status_code}


def old_addresses_redirect(world: SmokeContext) -> Seen:
    admin, subject = _admin(world), world.subject()
    admin.sign_in()
    canonical = f"/admin/trr-people/{subject.slug}"
    tried = {
        f"/admin/trr-people/{subject.person_id}?sort=newest": f"{canonical}?sort=newest",
        f"/admin/trr-people/{subject.slug.upper()}": canonical,
    }
    for path, target in tried.items():
        answer = admin.http.get(path)
        if answer.status_code not in (301, 308) or not answer.headers.get("location", "").endswith(target):
            where = answer.headers.get("location", "nowhere")
            raise StepError(f"{path}: status {answer.status_code} to {where}, expected 308 to {target}")
    expect(admin.http.get(f"/admin/trr-people/{uuid4()}"), httpx.codes.NOT_FOUND, "an unknown person")
    return tried


def toggle_through_the_proxy(world: SmokeContext) -> Seen:
    admin, subject = _admin(world), world.subject()
    admin.sign_in()
    before = _flag(world.backend, subject)
    _note_flag(world, subject, before)
    seen = []
    for value in (not before, before):
        answer = json_of(admin.toggle(subject.person_id, subject.link_id, value), "the toggle through the proxy")
        expected = {
            "link_id": str(subject.link_id),
            "person_id": str(subject.person_id),
            "facebank_seed": value,
        }
        if answer != expected:
            raise StepError(f"the proxy answers {answer}, expected {expected}")
        if _flag(world.backend, subject) is not value:
            raise StepError(f"the backend does not list the photo as facebank_seed={value} after the toggle")
        seen.append(answer)
    return {"answers": seen}


def face_bank_is_whole(world: SmokeContext) -> Seen:
    with _bank(world).connect() as conn:
        return {"database": conn.info.dbname}


def token_reads_photos_and_nothing_else(world: SmokeContext) -> Seen:
    backend = world.backend
    count = len(backend.photos(world.subject().person_id, seed_only=False))
    answer = backend.http.get("/api/v1/admin/people", headers=backend.screenalytics())
    expect(answer, httpx.codes.FORBIDDEN, "an admin route with Screenalytics' token")
    return {"photos": count}


def unseeded_person_falls_back(world: SmokeContext) -> Seen:
    result = _import(world)
    _require(result, "fallback_unseeded", [True, False])
    _require_rows(world, seeds=0)
    return result.report()


def seeded_person_needs_one_call(world: SmokeContext) -> Seen:
    subject = world.subject()
    _note_flag(world, subject, _flag(world.backend, subject))
    answer = world.backend.toggle(subject.person_id, subject.link_id, True, world.backend.admin_app())
    expect(answer, httpx.codes.OK, "flagging a seed")
    result = _import(world)
    _require(result, "seeded", [True])
    _require_rows(world, seeds=1)
    again = _import(world)
    if again.inserted or again.updated:
        raise StepError(f"importing again inserted {again.inserted} and updated {again.updated} rows")
    with _client(world) as client:
        claims = (
            no_duplicate_faces(_bank(world), subject.person_id),
            approvals_untouched(_bank(world), subject.person_id),
            seeds_match_backend(_bank(world), client, subject.person_id),
        )
    for claim in claims:
        if claim.broken:
            raise StepError(f"{len(claim.broken)} rows are wrong: {claim.broken[0]}")
    return {"first": result.report(), "again": again.report()}


STEPS = (
    Step(Part.BACKEND, "it answers, and its database has the schema of its code", backend_is_ready),
    Step(Part.BACKEND, "401, 403, 403, 200: a toggle needs both secrets", callers_are_told_apart),
    Step(Part.BACKEND, "seed_only=true is what is flagged in seed_only=false", seeds_are_a_subset_of_all_photos),
    Step(Part.BACKEND, "every URL of a gallery answers with an image", gallery_urls_are_alive),
    Step(Part.BACKEND, "a slug in other letters leads to the right one", slugs_lead_to_the_canonical_one),
    Step(Part.ADMIN, "it answers", admin_is_ready),
    Step(Part.ADMIN, "no toggle without a session, none from another site", strangers_are_kept_out),
    Step(Part.ADMIN, "ids and slugs in other letters redirect, the query kept", old_addresses_redirect),
    Step(Part.ADMIN, "a flag goes on and off through the proxy", toggle_through_the_proxy, changes=True),
    Step(Part.SCREENALYTICS, "its database has every relation", face_bank_is_whole),
    Step(Part.SCREENALYTICS, "its token reads photos, and nothing else", token_reads_photos_and_nothing_else),
    Step(
        Part.SCREENALYTICS,
        "without seeds: seeds are asked for, then all; nothing is a seed, nothing approved, nothing twice",
        unseeded_person_falls_back,
        changes=True,
    ),
    Step(
        Part.SCREENALYTICS,
        "with a seed: one call; is_seed, not approved, nothing twice; importing again changes nothing",
        seeded_person_needs_one_call,
        changes=True,
    ),
)


def _admin(world: SmokeContext) -> AdminApp:
    assert world.admin is not None
    return world.admin


def _bank(world: SmokeContext) -> FaceBank:
    assert world.bank is not None
    return world.bank


def _client(world: SmokeContext) -> BackendClient:
    return open_client(world.settings)


def _flag(backend: SmokeBackend, subject: Subject) -> bool:
    seeds = backend.photos(subject.person_id, seed_only=True)
    return any(photo["link_id"] == str(subject.link_id) for photo in seeds)


def _note_flag(world: SmokeContext, subject: Subject, value: bool) -> None:
    world.journal.note("flag", person=str(subject.person_id), link=str(subject.link_id), value=value)


def _import(world: SmokeContext) -> ImportResult:
    subject = world.subject()
    snapshot = banks.take_snapshot(_bank(world), subject.person_id)
    world.journal.note("faces", person=str(subject.person_id), **asdict(snapshot))
    with _client(world) as client:
        return import_facebank_images(_bank(world), client, subject.person_id)


def _require(result: ImportResult, outcome: str, asked: list[bool]) -> None:
    calls = [call.seed_only for call in result.calls if call.page == 0]
    if result.outcome != outcome or calls != asked:
        raise StepError(f"the outcome is {result.outcome} after asking {calls}, expected {outcome} after {asked}")


def _require_rows(world: SmokeContext, *, seeds: int) -> None:
    subject = world.subject()
    rows = banks.faces(_bank(world), subject.person_id)
    flagged = [row for row in rows if row["is_seed"]]
    if len(flagged) != seeds or (seeds and flagged[0]["link_id"] != subject.link_id):
        raise StepError(f"{len(flagged)} rows are seeds, expected {seeds}")
    if any(row["approved"] and row["reviewed_by"] is None for row in flagged):
        raise StepError("a new seed is approved without a reviewer")
    if len({row["media_asset_id"] for row in rows}) != len(rows):
        raise StepError("a photo is listed twice for one person")
