-- Objects that retention has listed for removal, and since when. The list is what is deleted: nothing else.
-- `dropped` says that the rows are gone and only the object is left to delete.

create table core.removal_list (
    hosted_bucket text        not null,
    hosted_key    text        not null,
    why           text        not null,
    bytes         bigint      not null,
    listed_at     timestamptz not null default now(),
    constraint removal_list_pkey primary key (hosted_bucket, hosted_key),
    constraint removal_list_why_known check (why in ('superseded', 'retired', 'orphan', 'dropped'))
);
create index removal_list_listed_at_idx on core.removal_list (listed_at);

-- What retention looks for, without reading what is served.
create index media_asset_variants_superseded_idx on core.media_asset_variants (superseded_at)
    where superseded_at is not null;
create index retired_objects_retired_at_idx on core.retired_objects (retired_at);
