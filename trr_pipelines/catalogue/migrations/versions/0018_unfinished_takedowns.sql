-- Takedowns are worked off until nothing is left; the catalogue knows whether it is older than its store.

-- What a takedown still has to delete, written in the transaction that deletes its rows. `hosted_keys` are the photo's
-- objects and the contact sheets that may show it; they are kept for as long as a CDN may have them, to be purged.
-- `objects_gone_at` and `events_gone_at` say when the store and Dagster's event log had nothing of the photo.
alter table core.takedowns
    add column hosted_bucket   text,
    add column batch_key       text,
    add column hosted_keys     text[]      not null default '{}',
    add column objects_gone_at timestamptz,
    add column events_gone_at  timestamptz,
    -- Whether the store has a record of it, which outlives a restored catalogue.
    add column is_recorded     boolean     not null default false;
-- Earlier takedowns may have been cut off: their objects are looked for once more. Their batches are not known.
update core.takedowns set events_gone_at = now();
update core.takedowns
set hosted_keys = array(
    select l.hosted_key from core.removal_list l
    join core.taken_down_fingerprints f on f.kind = 'content' and f.sha256 = substring(l.hosted_key from '[0-9a-f]{64}')
    where l.why = 'dropped' and starts_with(l.hosted_key, 'originals/'))
where media_asset_id = (select media_asset_id from core.takedowns order by taken_down_at desc, media_asset_id limit 1);
create index takedowns_due_idx on core.takedowns (taken_down_at) where objects_gone_at is null or events_gone_at is null;
create index takedowns_keys_idx on core.takedowns (taken_down_at) where hosted_keys <> '{}';
create index takedowns_people_idx on core.takedowns using gin (person_ids);
create index takedowns_unrecorded_idx on core.takedowns (media_asset_id) where not is_recorded;

alter table core.taken_down_fingerprints add column is_recorded boolean not null default false;
create index taken_down_fingerprints_unrecorded_idx on core.taken_down_fingerprints (sha256) where not is_recorded;

-- The catalogue's epoch, one row per store. It advances with the work of the catalogue, and the store keeps the newest: a
-- store with a later epoch than its catalogue has objects that the catalogue, restored from an older copy, does not know.
create table core.store_epochs (
    hosted_bucket text        not null,
    catalogue_id  uuid        not null default gen_random_uuid(),
    epoch         bigint      not null default 0,
    advanced_at   timestamptz not null default now(),
    adopted_at    timestamptz,
    constraint store_epochs_pkey primary key (hosted_bucket),
    constraint store_epochs_epoch_not_negative check (epoch >= 0)
);

-- Free space of a few minutes by disk, from which alerts estimate when a disk will be full.
create table core.disk_samples (
    disk         text        not null,
    sampled_at   timestamptz not null default now(),
    free_bytes   bigint      not null,
    free_inodes  bigint,
    constraint disk_samples_pkey primary key (disk, sampled_at)
);
