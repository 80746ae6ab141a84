-- The catalogue: what is known about every photo, and the ledger of what must still be done.

-- Entities that photos are linked to ---------------------------------------------------------------------------------

create table core.shows (
    id         uuid        not null default gen_random_uuid(),
    title      text        not null,
    created_at timestamptz not null default now(),
    constraint shows_pkey primary key (id),
    constraint shows_title_not_blank check (btrim(title) <> '')
);
create unique index shows_title_key on core.shows (lower(title));

create table core.seasons (
    id         uuid        not null default gen_random_uuid(),
    show_id    uuid        not null,
    number     integer     not null,
    created_at timestamptz not null default now(),
    constraint seasons_pkey primary key (id),
    constraint seasons_show_id_fkey foreign key (show_id) references core.shows (id) on delete cascade,
    constraint seasons_show_id_number_key unique (show_id, number),
    constraint seasons_number_not_negative check (number >= 0)
);

create table core.people (
    id         uuid        not null default gen_random_uuid(),
    full_name  text        not null,
    created_at timestamptz not null default now(),
    constraint people_pkey primary key (id),
    constraint people_full_name_not_blank check (btrim(full_name) <> '')
);
create unique index people_full_name_key on core.people (lower(full_name));

-- A slug once given is never given to another entity; a rename keeps the old one as a redirect.
create table core.slugs (
    entity_kind text        not null,
    slug        text        not null,
    entity_id   uuid        not null,
    is_current  boolean     not null default true,
    created_at  timestamptz not null default now(),
    constraint slugs_pkey primary key (entity_kind, slug),
    constraint slugs_entity_kind_known check (entity_kind in ('show', 'person'))
);
create unique index slugs_current_key on core.slugs (entity_kind, entity_id) where is_current;

-- Imports ------------------------------------------------------------------------------------------------------------

-- A batch is a Dagster partition. The catalogue knows it first; `announced_at` says that Dagster knows its key too.
create table core.import_batches (
    key          text        not null,
    source       text        not null,
    day          date        not null,
    number       integer     not null,
    photos       integer     not null default 0,
    announced_at timestamptz,
    created_at   timestamptz not null default now(),
    constraint import_batches_pkey primary key (key),
    constraint import_batches_source_day_number_key unique (source, day, number),
    constraint import_batches_key_plain check (key ~ '^[a-z0-9-]+$'),
    constraint import_batches_photos_not_negative check (photos >= 0)
);
create index import_batches_unannounced_idx on core.import_batches (key) where announced_at is null;

create table core.media_assets (
    id              uuid        not null default gen_random_uuid(),
    source          text        not null,
    source_url      text        not null,
    batch_key       text        not null,
    state           text        not null default 'pending',
    reason          text,
    sha256          text,
    bytes           bigint,
    width           integer,
    height          integer,
    format          text,
    frames          integer,
    hosted_bucket   text,
    hosted_key      text,
    hosted_url      text,
    placeholder     text,
    dominant_color  text,
    metadata        jsonb       not null default '{}',
    created_at      timestamptz not null default now(),
    updated_at      timestamptz not null default now(),
    constraint media_assets_pkey primary key (id),
    constraint media_assets_source_source_url_key unique (source, source_url),
    constraint media_assets_batch_key_fkey foreign key (batch_key) references core.import_batches (key),
    constraint media_assets_state_known check (state in ('pending', 'mirrored', 'failed')),
    constraint media_assets_failed_has_reason check ((state = 'failed') = (reason is not null)),
    constraint media_assets_mirrored_is_hosted check (
        state <> 'mirrored' or (num_nulls(sha256, bytes, width, height, format, frames, hosted_key, hosted_url) = 0)
    )
);
-- One photo for one sequence of bytes, whether or not it could be decoded afterwards.
create unique index media_assets_sha256_key on core.media_assets (sha256) where sha256 is not null;
create index media_assets_batch_key_idx on core.media_assets (batch_key, id);
create index media_assets_failed_idx on core.media_assets (source, reason) where state = 'failed';

-- Every row of every import, with its outcome and the photo it ended at.
create table core.import_items (
    id             bigint      not null generated always as identity,
    import_id      uuid        not null,
    line           integer     not null,
    source         text        not null,
    source_url     text        not null,
    outcome        text        not null,
    detail         text        not null default '',
    media_asset_id uuid,
    created_at     timestamptz not null default now(),
    constraint import_items_pkey primary key (id),
    constraint import_items_import_id_line_key unique (import_id, line),
    constraint import_items_media_asset_id_fkey
        foreign key (media_asset_id) references core.media_assets (id) on delete set null,
    constraint import_items_outcome_known check (outcome in ('created', 'known', 'duplicate', 'rejected'))
);
create index import_items_source_source_url_idx on core.import_items (source, source_url)
    where media_asset_id is not null;
create index import_items_media_asset_id_idx on core.import_items (media_asset_id);

-- Each link joins a photo to exactly one show, season or person.
create table core.media_links (
    id             uuid        not null default gen_random_uuid(),
    media_asset_id uuid        not null,
    show_id        uuid,
    season_id      uuid,
    person_id      uuid,
    entity_id      uuid        not null generated always as (coalesce(show_id, season_id, person_id)) stored,
    kind           text        not null,
    position       integer     not null default 0,
    caption        text        not null default '',
    tags           text[]      not null default '{}',
    facebank_seed  boolean     not null default false,
    created_at     timestamptz not null default now(),
    updated_at     timestamptz not null default now(),
    constraint media_links_pkey primary key (id),
    constraint media_links_media_asset_id_fkey
        foreign key (media_asset_id) references core.media_assets (id) on delete cascade,
    constraint media_links_show_id_fkey foreign key (show_id) references core.shows (id) on delete cascade,
    constraint media_links_season_id_fkey foreign key (season_id) references core.seasons (id) on delete cascade,
    constraint media_links_person_id_fkey foreign key (person_id) references core.people (id) on delete cascade,
    constraint media_links_one_entity check (num_nonnulls(show_id, season_id, person_id) = 1),
    constraint media_links_media_asset_id_entity_id_kind_key unique (media_asset_id, entity_id, kind),
    constraint media_links_kind_known check (kind in ('photo', 'video_still', 'brand', 'social', 'news'))
);
create index media_links_entity_idx on core.media_links (entity_id, kind, position, id);

-- Derivatives --------------------------------------------------------------------------------------------------------

-- The history of crops; at most one is active.
create table core.media_asset_crops (
    id             bigint        not null generated always as identity,
    media_asset_id uuid          not null,
    crop_mode      text          not null,
    crop_x         numeric(7, 4) not null,
    crop_y         numeric(7, 4) not null,
    crop_zoom      numeric(5, 4) not null,
    crop_signature text          not null,
    source_version text          not null,
    reason         text          not null default '',
    author         text          not null,
    is_active      boolean       not null,
    created_at     timestamptz   not null default now(),
    constraint media_asset_crops_pkey primary key (id),
    constraint media_asset_crops_media_asset_id_fkey
        foreign key (media_asset_id) references core.media_assets (id) on delete cascade,
    constraint media_asset_crops_mode_known check (crop_mode in ('auto', 'manual')),
    constraint media_asset_crops_x_percent check (crop_x between 0 and 100),
    constraint media_asset_crops_y_percent check (crop_y between 0 and 100),
    constraint media_asset_crops_zoom_range check (crop_zoom between 1 and 8),
    constraint media_asset_crops_signature_sha256 check (crop_signature ~ '^[0-9a-f]{64}$')
);
create unique index media_asset_crops_active_key on core.media_asset_crops (media_asset_id) where is_active;
create index media_asset_crops_history_idx on core.media_asset_crops (media_asset_id, id);

create table core.media_asset_variants (
    id             bigint        not null generated always as identity,
    media_asset_id uuid          not null,
    variant_key    text          not null,
    format         text          not null,
    width          integer       not null,
    height         integer       not null,
    bytes          bigint        not null,
    sha256         text          not null,
    hosted_bucket  text          not null,
    hosted_key     text          not null,
    hosted_url     text          not null,
    crop_mode      text          not null default '',
    crop_x         numeric(7, 4) not null default 0,
    crop_y         numeric(7, 4) not null default 0,
    crop_zoom      numeric(5, 4) not null default 1,
    crop_signature text          not null default '',
    recipe         text          not null,
    source_version text          not null,
    superseded_at  timestamptz,
    created_at     timestamptz   not null default now(),
    constraint media_asset_variants_pkey primary key (id),
    constraint media_asset_variants_media_asset_id_fkey
        foreign key (media_asset_id) references core.media_assets (id) on delete cascade,
    constraint media_asset_variants_identity_key unique (media_asset_id, variant_key, format, crop_signature),
    constraint media_asset_variants_size_positive check (width > 0 and height > 0 and bytes > 0)
);
-- Keys are immutable and hold asset, version and recipe: two rows can never stand for one object.
create unique index media_asset_variants_hosted_key_key on core.media_asset_variants (hosted_key);

-- Objects that rows have left; retention removes them, reconcile knows them.
create table core.retired_objects (
    hosted_bucket  text        not null,
    hosted_key     text        not null,
    media_asset_id uuid        not null,
    bytes          bigint      not null,
    retired_at     timestamptz not null default now(),
    constraint retired_objects_pkey primary key (hosted_bucket, hosted_key)
);

-- The ledger ---------------------------------------------------------------------------------------------------------

-- One row per photo and kind of work. `failed` with `next_attempt_at` is tried again then; without, it has ended.
-- An edit bumps `version` and clears the lease, so that a result rendered for what was wanted before is dropped.
create table core.variant_generations (
    media_asset_id  uuid        not null,
    kind            text        not null,
    state           text        not null default 'pending',
    reason          text,
    detail          text,
    attempts        integer     not null default 0,
    next_attempt_at timestamptz,
    wanted          text        not null default '',
    served          text        not null default '',
    recipe          text        not null default '',
    version         integer     not null default 1,
    lease_until     timestamptz,
    run_id          text,
    updated_at      timestamptz not null default now(),
    constraint variant_generations_pkey primary key (media_asset_id, kind),
    constraint variant_generations_media_asset_id_fkey
        foreign key (media_asset_id) references core.media_assets (id) on delete cascade,
    constraint variant_generations_kind_known check (kind in ('original', 'base', 'crop')),
    constraint variant_generations_state_known check (state in ('pending', 'complete', 'failed')),
    constraint variant_generations_failed_has_reason check ((state = 'failed') = (reason is not null)),
    constraint variant_generations_only_failed_waits check (state = 'failed' or next_attempt_at is null)
);
comment on column core.variant_generations.wanted is 'crop only: the crop signature that should be rendered';
comment on column core.variant_generations.served is 'crop only: the crop signature of the last complete set';
-- What the sensors read: they cost what is open, not what exists.
create index variant_generations_pending_idx on core.variant_generations (kind, media_asset_id)
    where state = 'pending';
create index variant_generations_retry_idx on core.variant_generations (next_attempt_at)
    where state = 'failed' and next_attempt_at is not null;

-- What the sensors asked Dagster for: one row per scope of work (a batch, or the scattered photos of one sensor).
-- Dagster drops a run_key whose earlier run failed, so the key carries an epoch, and the epoch moves on.
create table core.dispatches (
    scope        text        not null,
    epoch        integer     not null default 1,
    requested_at timestamptz,
    failures     integer     not null default 0,
    not_before   timestamptz,
    lease_until  timestamptz,
    run_id       text,
    constraint dispatches_pkey primary key (scope)
);
