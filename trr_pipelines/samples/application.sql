-- The part of the application's database that the bridge meets, built from its documented facts: for the demo and for
-- tests. The application's own migrations are its own matter.

create schema core;

create table core.shows (
    id                uuid        not null default gen_random_uuid() primary key,
    name              text        not null,
    slug              text,
    alternative_names text[]      not null default '{}',
    created_at        timestamptz not null default now(),
    updated_at        timestamptz not null default now()
);
create unique index shows_slug_idx on core.shows (slug) where slug is not null;

create table core.seasons (
    id            uuid        not null default gen_random_uuid() primary key,
    show_id       uuid        not null references core.shows (id) on delete cascade,
    season_number integer     not null,
    created_at    timestamptz not null default now(),
    updated_at    timestamptz not null default now(),
    unique (show_id, season_number)
);

create table core.episodes (
    id             uuid        not null default gen_random_uuid() primary key,
    season_id      uuid        not null references core.seasons (id) on delete cascade,
    episode_number integer     not null,
    title          text,
    created_at     timestamptz not null default now(),
    updated_at     timestamptz not null default now()
);

create table core.people (
    id         uuid        not null default gen_random_uuid() primary key,
    full_name  text        not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

create table core.media_assets (
    id                       uuid        not null default gen_random_uuid() primary key,
    media_type               text        not null default 'image',
    source                   text        not null,
    source_asset_id          text,
    source_url               text,
    sha256                   text,
    content_type             text,
    bytes                    bigint,
    width                    integer,
    height                   integer,
    caption                  text,
    alt_text                 text,
    hosted_bucket            text,
    hosted_key               text,
    hosted_url               text,
    hosted_etag              text,
    hosted_at                timestamptz,
    hosted_sha256            text,
    hosted_content_type      text,
    hosted_bytes             bigint,
    metadata                 jsonb       not null default '{}',
    created_at               timestamptz not null default now(),
    updated_at               timestamptz not null default now(),
    fetched_at               timestamptz,
    ingest_status            text        not null default 'pending'
        check (ingest_status in ('pending', 'in_progress', 'hosted', 'failed', 'skipped')),
    ingest_retry_count       integer     not null default 0,
    ingest_last_error        text,
    ingest_failed_at         timestamptz,
    ingest_completed_at      timestamptz,
    ingest_next_retry_at     timestamptz,
    archived_at              timestamptz,
    archived_by_firebase_uid text,
    archived_reason          text
);
create unique index media_assets_sha256_idx on core.media_assets (sha256) where sha256 is not null;
create unique index media_assets_source_asset_id_idx on core.media_assets (source, source_asset_id)
    where source_asset_id is not null;
create unique index media_assets_source_url_idx on core.media_assets (source, source_url) where source_url is not null;
create unique index media_assets_hosted_sha256_idx on core.media_assets (source, hosted_sha256)
    where hosted_sha256 is not null;
create index media_assets_metadata_idx on core.media_assets using gin (metadata);

create table core.media_links (
    id             uuid        not null default gen_random_uuid() primary key,
    entity_type    text        not null,
    entity_id      uuid        not null,
    media_asset_id uuid        not null references core.media_assets (id) on delete cascade,
    kind           text        not null,
    position       integer,
    is_primary     boolean     not null default false,
    context        jsonb,
    facebank_seed  boolean     not null default false,
    created_at     timestamptz not null default now(),
    updated_at     timestamptz not null default now(),
    unique (entity_type, entity_id, kind, media_asset_id)
);
create unique index media_links_primary_idx on core.media_links (entity_type, entity_id, kind) where is_primary;
create index media_links_media_asset_id_idx on core.media_links (media_asset_id);

create table core.media_asset_variants (
    id             uuid        not null default gen_random_uuid() primary key,
    media_asset_id uuid        not null references core.media_assets (id) on delete cascade,
    variant_key    text        not null,
    format         text        not null,
    width          integer,
    height         integer,
    bytes          bigint,
    hosted_bucket  text        not null,
    hosted_key     text        not null unique,
    hosted_url     text        not null,
    crop_mode      text,
    crop_x         numeric,
    crop_y         numeric,
    crop_zoom      numeric,
    crop_signature text        not null default 'base',
    created_at     timestamptz not null default now(),
    updated_at     timestamptz not null default now(),
    unique (media_asset_id, variant_key, format, crop_signature)
);

create table core.cast_photos (
    id            uuid        not null default gen_random_uuid() primary key,
    person_id     uuid        not null references core.people (id) on delete cascade,
    source        text        not null default 'imdb',
    hosted_bucket text,
    hosted_key    text,
    hosted_url    text,
    metadata      jsonb       not null default '{}',
    created_at    timestamptz not null default now(),
    updated_at    timestamptz not null default now()
);

create function core.set_updated_at() returns trigger language plpgsql as $$
begin
    new.updated_at = now();
    return new;
end;
$$;
create trigger media_assets_updated_at before update on core.media_assets
    for each row execute function core.set_updated_at();
create trigger media_links_updated_at before update on core.media_links
    for each row execute function core.set_updated_at();
create trigger media_asset_variants_updated_at before update on core.media_asset_variants
    for each row execute function core.set_updated_at();
create trigger cast_photos_updated_at before update on core.cast_photos
    for each row execute function core.set_updated_at();

-- Inserts of cast_photos are copied, as a photo and as a link of the person.
create function core.copy_cast_photo() returns trigger language plpgsql as $$
declare
    copied uuid;
begin
    insert into core.media_assets (source, source_asset_id, hosted_bucket, hosted_key, hosted_url, ingest_status)
    values (new.source, 'cast_photo:' || new.id, new.hosted_bucket, new.hosted_key, new.hosted_url, 'hosted')
    returning id into copied;
    insert into core.media_links (entity_type, entity_id, media_asset_id, kind, context)
    values ('person', new.person_id, copied, 'gallery',
            jsonb_build_object('legacy_table', 'cast_photos', 'legacy_id', new.id));
    return new;
end;
$$;
create trigger cast_photos_copied after insert on core.cast_photos
    for each row execute function core.copy_cast_photo();

-- On without policies: only the owner, or a role with BYPASSRLS, sees rows.
alter table core.media_assets enable row level security;
alter table core.media_links enable row level security;
alter table core.media_asset_variants enable row level security;
alter table core.cast_photos enable row level security;
