-- The published keys of a photo, or of a link's context, as one digest: whoever changes one of them changes it.

-- name: assets(after, ids, limit)
-- Rows of media_assets by id: all of them page by page, or those given.
select a.id, a.media_type, a.source, a.source_url, a.hosted_bucket, a.hosted_key, a.hosted_url, a.hosted_etag, a.hosted_at,
       a.archived_at is not null as is_archived, a.metadata -> 'thumbnail_crop' as intent, a.updated_at,
       md5(jsonb_build_array(
           a.metadata -> 'variants', a.metadata -> 'thumb_url', a.metadata -> 'display_url', a.metadata -> 'detail_url',
           a.metadata -> 'crop_display_url', a.metadata -> 'crop_detail_url',
           a.metadata -> 'active_crop_signature')::text) as keys_digest
from core.media_assets a
where (:after::uuid is null or a.id > :after::uuid)
  and (:ids::uuid[] is null or a.id = any(:ids::uuid[]))
order by a.id
limit :limit;

-- name: changed_assets(updated_at, after, limit)
select a.id, a.media_type, a.source, a.source_url, a.hosted_bucket, a.hosted_key, a.hosted_url, a.hosted_etag, a.hosted_at,
       a.archived_at is not null as is_archived, a.metadata -> 'thumbnail_crop' as intent, a.updated_at,
       md5(jsonb_build_array(
           a.metadata -> 'variants', a.metadata -> 'thumb_url', a.metadata -> 'display_url', a.metadata -> 'detail_url',
           a.metadata -> 'crop_display_url', a.metadata -> 'crop_detail_url',
           a.metadata -> 'active_crop_signature')::text) as keys_digest
from core.media_assets a
where a.updated_at >= :updated_at and (a.updated_at, a.id) > (:updated_at, :after::uuid)
order by a.updated_at, a.id
limit :limit;

-- name: cast_photos(after, ids, limit)
-- Rows of the legacy table; a column that it lacks reads as null.
select c.id, 'image' as media_type, coalesce(to_jsonb(c) ->> 'source', 'cast') as source,
       to_jsonb(c) ->> 'source_url' as source_url, c.hosted_bucket, c.hosted_key, c.hosted_url,
       to_jsonb(c) ->> 'hosted_etag' as hosted_etag, to_jsonb(c) ->> 'hosted_at' as hosted_at,
       to_jsonb(c) ->> 'archived_at' is not null as is_archived, c.metadata -> 'thumbnail_crop' as intent,
       (to_jsonb(c) ->> 'updated_at')::timestamptz as updated_at,
       md5(jsonb_build_array(
           c.metadata -> 'variants', c.metadata -> 'thumb_url', c.metadata -> 'display_url', c.metadata -> 'detail_url',
           c.metadata -> 'crop_display_url', c.metadata -> 'crop_detail_url',
           c.metadata -> 'active_crop_signature')::text) as keys_digest
from core.cast_photos c
where (:after::uuid is null or c.id > :after::uuid)
  and (:ids::uuid[] is null or c.id = any(:ids::uuid[]))
order by c.id
limit :limit;

-- name: links(after, asset_ids, limit)
-- Links by id: all of them page by page, or those of some photos. A link of an episode is one of its season.
select l.id, l.media_asset_id as asset_id, l.entity_type,
       case when l.entity_type = 'episode' then e.season_id else l.entity_id end as entity_id,
       l.kind, l.position, l.is_primary, l.facebank_seed,
       l.context -> 'thumbnail_crop' as intent, l.context ->> 'gallery_status' as gallery_status,
       l.context -> 'caption' as caption, l.context -> 'tags' as tags, l.updated_at,
       md5(jsonb_build_array(
           l.context -> 'crop_display_url', l.context -> 'crop_detail_url',
           l.context -> 'active_crop_signature')::text) as keys_digest
from core.media_links l
left join core.episodes e on l.entity_type = 'episode' and e.id = l.entity_id
where (:after::uuid is null or l.id > :after::uuid)
  and (:asset_ids::uuid[] is null or l.media_asset_id = any(:asset_ids::uuid[]))
order by l.id
limit :limit;

-- name: changed_links(updated_at, after, limit)
select l.id, l.media_asset_id as asset_id, l.entity_type,
       case when l.entity_type = 'episode' then e.season_id else l.entity_id end as entity_id,
       l.kind, l.position, l.is_primary, l.facebank_seed,
       l.context -> 'thumbnail_crop' as intent, l.context ->> 'gallery_status' as gallery_status,
       l.context -> 'caption' as caption, l.context -> 'tags' as tags, l.updated_at,
       md5(jsonb_build_array(
           l.context -> 'crop_display_url', l.context -> 'crop_detail_url',
           l.context -> 'active_crop_signature')::text) as keys_digest
from core.media_links l
left join core.episodes e on l.entity_type = 'episode' and e.id = l.entity_id
where l.updated_at >= :updated_at and (l.updated_at, l.id) > (:updated_at, :after::uuid)
order by l.updated_at, l.id
limit :limit;

-- name: shows(ids)
select id, coalesce(name, '') as name from core.shows where :ids::uuid[] is null or id = any(:ids::uuid[]);

-- name: people(ids)
select id, coalesce(full_name, '') as name from core.people where :ids::uuid[] is null or id = any(:ids::uuid[]);

-- name: seasons(ids)
select id, show_id, season_number from core.seasons
where season_number is not null and (:ids::uuid[] is null or id = any(:ids::uuid[]));

-- name: assets_of_show(name, slug)
-- Photos of the shows with this name or slug, of their seasons and episodes.
with shows as (
    select id from core.shows where lower(name) = lower(:name) or slug = :slug or id::text = :name
), entities as (
    select id from shows
    union all select s.id from core.seasons s where s.show_id in (select id from shows)
    union all select e.id from core.episodes e join core.seasons s on s.id = e.season_id
              where s.show_id in (select id from shows)
)
select distinct l.media_asset_id as id
from core.media_links l
where l.entity_id in (select id from entities) and l.entity_type in ('show', 'season', 'episode')
order by id;

-- name: assets_of_source(source)
select id from core.media_assets where source = :source order by id;

-- name: some_assets(limit)
-- Photos of the largest galleries.
with largest as (
    select entity_id, count(*) as links from core.media_links group by entity_id order by links desc, entity_id limit 20
)
select a.id
from core.media_assets a
join core.media_links l on l.media_asset_id = a.id
join largest on largest.entity_id = l.entity_id
where a.media_type = 'image' and a.archived_at is null and a.hosted_key is not null
group by a.id
order by max(largest.links) desc, a.id
limit :limit;

-- name: present(ids)
select id from core.media_assets where id = any(:ids);

-- name: present_links(ids)
select id from core.media_links where id = any(:ids);

-- name: present_cast_photos(ids)
select id from core.cast_photos where id = any(:ids);

-- name: now()$
select now();

-- name: has_updated_at_index(table_name)$
select exists (
    select from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
    where i.indrelid = to_regclass('core.' || :table_name) and a.attname = 'updated_at' and i.indpred is null
);

-- name: has_table(table_name)$
select to_regclass('core.' || :table_name) is not null;
