-- Beside screenalytics.face_bank_images, which is the application's: reviews, exclusions, casts, and what the backend
-- said of each photo. No foreign key leads there, because one would change their table.

-- Every list that is read has a ticket, and no list is written over one with a later ticket.
create sequence if not exists trr_face_bank.face_bank_tickets;
create table if not exists trr_face_bank.face_bank_removals (
    only_row boolean not null default true,
    ticket   bigint  not null,
    constraint face_bank_removals_pkey primary key (only_row),
    constraint face_bank_removals_one_row check (only_row)
);

-- People whose photos were imported, the shows whose cast they belong to (slugs), and how their last import went.
create table if not exists trr_face_bank.person (
    id              uuid        not null,
    full_name       text        not null default '',
    shows           text[]      not null default '{}',
    synced_at       timestamptz,
    outcome         text,
    calls           integer,
    reviews_changed integer,
    ticket          bigint      not null default 0,
    created_at      timestamptz not null default now(),
    constraint person_pkey primary key (id),
    constraint person_outcome_known check (outcome in ('seeded', 'fallback_unseeded', 'empty')),
    constraint person_synced_is_whole check (num_nulls(synced_at, outcome, calls, reviews_changed) in (0, 4))
);
create index if not exists person_shows_idx on trr_face_bank.person using gin (shows);

-- One row per image that an import of ours added or found there. `photo_id` is the backend's, or made from the key.
create table if not exists trr_face_bank.faces (
    image_id       uuid    not null,
    person_id      uuid    not null,
    photo_id       uuid    not null,
    link_id        uuid,
    served_url     text    not null,
    sha256         text,
    width          integer,
    height         integer,
    source         text    not null,
    caption        text    not null,
    quality_reason text,
    quality_sha256 text,
    sharpness      real,
    faces          integer,
    preview        bytea,
    constraint faces_pkey primary key (image_id)
);
create index if not exists faces_person_id_idx on trr_face_bank.faces (person_id);
create index if not exists faces_photo_id_idx on trr_face_bank.faces (photo_id);

-- Reviews made here. Those of the application are in its own table, and win.
create table if not exists trr_face_bank.reviews (
    image_id    uuid        not null,
    person_id   uuid        not null,
    approved    boolean     not null,
    rejected    boolean     not null,
    reviewed_by text        not null,
    reviewed_at timestamptz not null default now(),
    constraint reviews_pkey primary key (image_id),
    constraint reviews_one_verdict check (approved <> rejected)
);
create index if not exists reviews_person_id_idx on trr_face_bank.reviews (person_id);

-- "Not this person": the photo is never taken in for this person again, also not under another id or key.
create table if not exists trr_face_bank.face_exclusions (
    person_id      uuid        not null,
    media_asset_id uuid        not null,
    hosted_key     text        not null,
    sha256         text        not null default '',
    excluded_by    text        not null,
    excluded_at    timestamptz not null default now(),
    constraint face_exclusions_pkey primary key (person_id, media_asset_id)
);

-- The role whose policy the application's table has. Others are granted these rights by the owner of this schema.
do $$
begin
    if exists (select from pg_roles where rolname = 'service_role') then
        grant usage on schema trr_face_bank to service_role;
        grant select, insert, update, delete on all tables in schema trr_face_bank to service_role;
        grant usage on all sequences in schema trr_face_bank to service_role;
    end if;
end
$$;
