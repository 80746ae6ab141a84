-- What people look at, and how long pictures take to reach them: from the admin app's beacon. Nobody is named.

-- A view of a gallery; `entity_id` is that of its links (show, season or person).
create table core.gallery_views (
    id          bigint      not null generated always as identity,
    at          timestamptz not null default now(),
    entity_kind text        not null,
    entity_id   uuid        not null,
    photos      integer     not null,
    constraint gallery_views_pkey primary key (id),
    constraint gallery_views_entity_kind_known check (entity_kind in ('show', 'season', 'person')),
    constraint gallery_views_photos_not_negative check (photos >= 0)
);
create index gallery_views_at_idx on core.gallery_views (at);
create index gallery_views_entity_idx on core.gallery_views (entity_id, at);

-- Milliseconds from a picture's request to its paint, of a sample of views.
create table core.image_timings (
    id          bigint      not null generated always as identity,
    at          timestamptz not null default now(),
    variant_key text        not null,
    ms          integer     not null,
    constraint image_timings_pkey primary key (id),
    constraint image_timings_ms_not_negative check (ms >= 0)
);
create index image_timings_at_idx on core.image_timings (at);
