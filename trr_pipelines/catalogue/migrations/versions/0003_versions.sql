-- Every original that a photo ever had; the newest is the one in media_assets. None is ever removed by a replacement.

create table core.media_asset_versions (
    media_asset_id uuid        not null,
    sha256         text        not null,
    bytes          bigint      not null,
    width          integer     not null,
    height         integer     not null,
    format         text        not null,
    hosted_bucket  text        not null,
    hosted_key     text        not null,
    author         text        not null,
    created_at     timestamptz not null default now(),
    constraint media_asset_versions_pkey primary key (media_asset_id, sha256),
    constraint media_asset_versions_media_asset_id_fkey
        foreign key (media_asset_id) references core.media_assets (id) on delete cascade,
    -- One photo for one sequence of bytes, also for bytes that a photo had once.
    constraint media_asset_versions_sha256_key unique (sha256)
);

insert into core.media_asset_versions
    (media_asset_id, sha256, bytes, width, height, format, hosted_bucket, hosted_key, author)
select id, sha256, bytes, width, height, format, hosted_bucket, hosted_key, 'import'
from core.media_assets where sha256 is not null;
