-- The archive of the owner's application, as the bridge last read it, and what the bridge published there.

-- Rows of the application's tables `media_assets` and `cast_photos` (`origin`), each with the photo that has its bytes.
-- Several rows may share a photo; the rows' ids are the application's. `digest` covers everything that was read,
-- `object_digest` what names the original. What readers there should see has a version: it is published when
-- `published_version` has reached it. `before` is what stood there before the first publication, in paths that were
-- written; `published_digest` is that of the published keys, by which a change of another writer is found.
create table core.application_assets (
    id                uuid          not null,
    origin            text          not null,
    photo_id          uuid,
    source            text          not null,
    source_url        text,
    hosted_bucket     text,
    hosted_key        text,
    hosted_url        text,
    is_left_out       boolean       not null,
    is_taken_down     boolean       not null default false,
    crop_mode         text,
    crop_x            numeric(6, 3),
    crop_y            numeric(6, 3),
    crop_zoom         numeric(4, 3),
    crop_signature    text,
    digest            text          not null,
    object_digest     text          not null,
    wanted_version    bigint        not null default 0,
    published_version bigint        not null default 0,
    published_digest  text,
    published_sets    text[]        not null default '{}',
    published_at      timestamptz,
    before            jsonb,
    overwritten       integer       not null default 0,
    failures          integer       not null default 0,
    not_before        timestamptz,
    problem           text          not null default '',
    constraint application_assets_pkey primary key (id),
    constraint application_assets_photo_id_fkey
        foreign key (photo_id) references core.media_assets (id) on delete set null,
    constraint application_assets_origin_known check (origin in ('media_assets', 'cast_photos'))
);
create index application_assets_photo_id_idx on core.application_assets (photo_id);
create index application_assets_object_idx on core.application_assets (hosted_bucket, hosted_key);
create index application_assets_unplaced_idx on core.application_assets (id)
    where photo_id is null and hosted_key is not null and not is_left_out and not is_taken_down;
create index application_assets_withdrawn_idx on core.application_assets (id) where photo_id is null and before is not null;
create index application_assets_due_idx on core.application_assets (id) where wanted_version <> published_version;

-- Rows of the application's `media_links`. A link of the catalogue has the id of its row; it is missing while its photo or
-- its entity is. Crop and seed are the last ones that were read there or written there: an edit here differs from them.
create table core.application_links (
    id               uuid          not null,
    asset_id         uuid          not null,
    show_id          uuid,
    season_id        uuid,
    person_id        uuid,
    kind             text          not null,
    position         integer,
    is_primary       boolean       not null,
    is_hidden        boolean       not null,
    caption          text          not null,
    tags             text[]        not null,
    facebank_seed    boolean       not null,
    crop_mode        text,
    crop_x           numeric(6, 3),
    crop_y           numeric(6, 3),
    crop_zoom        numeric(4, 3),
    digest           text          not null,
    published_digest text,
    is_edited        boolean       not null default false,
    constraint application_links_pkey primary key (id)
);
create index application_links_asset_id_idx on core.application_links (asset_id);
create index application_links_edited_idx on core.application_links (id) where is_edited;

-- How far the bridge is: times up to which changes were read, and whether it follows new rows and publishes.
create table core.application_state (
    name       text        not null,
    value      jsonb       not null,
    updated_at timestamptz not null default now(),
    constraint application_state_pkey primary key (name)
);

-- Names are not unique in the application: two shows may have one. `slugs.lock` keeps imports from adding another spelling.
alter table core.shows add column is_external boolean not null default false;
alter table core.people add column is_external boolean not null default false;
drop index core.shows_title_key;
drop index core.people_full_name_key;
create index shows_title_idx on core.shows (lower(title), id);
create index people_full_name_idx on core.people (lower(full_name), id);

-- As in 0019, with the crops that rows of the application ask for.
create or replace view core.crops_in_use as
select media_asset_id, wanted as crop_signature from core.variant_generations where kind = 'crop' and wanted <> ''
union all
select media_asset_id, served from core.variant_generations where kind = 'crop' and served <> ''
union all
select media_asset_id, crop_signature from core.media_links where crop_signature is not null
union all
select media_asset_id, served_crop from core.media_links where served_crop is not null
union all
select photo_id, crop_signature from core.application_assets where photo_id is not null and crop_signature is not null;
