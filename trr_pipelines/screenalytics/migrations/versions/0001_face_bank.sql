-- The face bank of Screenalytics. Ids of people, photos and links are the backend's.

-- The people that Screenalytics knows, the shows whose cast they belong to (slugs), and how their last import went.
create table if not exists public.person (
    id              uuid        not null,
    full_name       text        not null default '',
    shows           text[]      not null default '{}',
    synced_at       timestamptz,
    outcome         text,
    calls           integer,
    reviews_changed integer,
    created_at      timestamptz not null default now(),
    constraint person_pkey primary key (id),
    constraint person_outcome_known check (outcome in ('seeded', 'fallback_unseeded', 'empty')),
    constraint person_synced_is_whole check (num_nulls(synced_at, outcome, calls, reviews_changed) in (0, 4))
);
create index if not exists person_shows_idx on public.person using gin (shows);

-- One row per person and photo. `is_seed` follows the backend's flag; `approved` and `rejected` are a reviewer's, and
-- no import ever touches them. `quality_reason` is null until somebody looked at these bytes, '' where nothing is wrong.
create table if not exists public.face_bank_images (
    id             uuid        not null default gen_random_uuid(),
    person_id      uuid        not null,
    media_asset_id uuid        not null,
    link_id        uuid        not null,
    served_url     text        not null,
    sha256         text        not null,
    width          integer     not null,
    height         integer     not null,
    source         text        not null,
    caption        text        not null,
    is_seed        boolean     not null,
    approved       boolean     not null default false,
    rejected       boolean     not null default false,
    reviewed_by    text,
    reviewed_at    timestamptz,
    quality_reason text,
    quality_sha256 text,
    sharpness      real,
    faces          integer,
    preview        bytea,
    created_at     timestamptz not null default now(),
    updated_at     timestamptz not null default now(),
    constraint face_bank_images_pkey primary key (id),
    constraint face_bank_images_person_id_fkey foreign key (person_id) references public.person (id) on delete cascade,
    constraint face_bank_images_person_id_media_asset_id_key unique (person_id, media_asset_id),
    constraint face_bank_images_sha256_hex check (sha256 ~ '^[0-9a-f]{64}$'),
    constraint face_bank_images_one_verdict check (not (approved and rejected)),
    constraint face_bank_images_verdict_has_author
        check (num_nulls(reviewed_by, reviewed_at) = case when approved or rejected then 0 else 2 end)
);
create index if not exists face_bank_images_media_asset_id_idx on public.face_bank_images (media_asset_id);
create index if not exists face_bank_images_sha256_idx on public.face_bank_images (sha256);

-- "Not this person": the photo is never taken in for this person again, also not under another id of the same bytes.
create table if not exists public.face_exclusions (
    person_id      uuid        not null,
    media_asset_id uuid        not null,
    sha256         text        not null default '',
    excluded_by    text        not null,
    excluded_at    timestamptz not null default now(),
    constraint face_exclusions_pkey primary key (person_id, media_asset_id)
);
