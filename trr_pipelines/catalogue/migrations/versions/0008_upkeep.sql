-- What administrators ask for: work done again, and photos taken down for good.

-- Work that was asked for again is scattered over batches: `rerender` takes it, and no batch has a run for it.
alter table core.variant_generations add column asked_at timestamptz;
comment on column core.variant_generations.asked_at is 'asked for again by somebody: not the work of its batch';
create index variant_generations_asked_idx on core.variant_generations (asked_at)
    where state = 'pending' and asked_at is not null;

-- Photos that were taken down: ids only. Whoever keeps copies of photos of these people looks here.
create table core.takedowns (
    media_asset_id uuid        not null,
    person_ids     uuid[]      not null,
    taken_down_at  timestamptz not null default now(),
    constraint takedowns_pkey primary key (media_asset_id)
);
create index takedowns_taken_down_at_idx on core.takedowns (taken_down_at);

-- What no import may bring back: hashes of bytes, and of the addresses that they came from. Addresses hold names, so
-- only their SHA-256 is kept.
create table core.taken_down_fingerprints (
    kind          text        not null,
    sha256        text        not null,
    taken_down_at timestamptz not null default now(),
    constraint taken_down_fingerprints_pkey primary key (kind, sha256),
    constraint taken_down_fingerprints_kind_known check (kind in ('content', 'address')),
    constraint taken_down_fingerprints_sha256 check (sha256 ~ '^[0-9a-f]{64}$')
);
