-- name: server()^
select current_setting('server_version_num')::integer as version, current_user as role, current_database() as name;

-- name: columns(names)
-- The columns of these tables of the schema core, with their types.
select c.relname as table_name, a.attname as column_name, format_type(a.atttypid, null) as type
from pg_class c
join pg_namespace n on n.oid = c.relnamespace and n.nspname = 'core'
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where c.relname = any(:names) and c.relkind in ('r', 'p');

-- name: has_grant(table_name, column_name, privilege)$
select case when :column_name::text is null then has_table_privilege('core.' || :table_name, :privilege)
            else has_table_privilege('core.' || :table_name, :privilege)
                 or has_column_privilege('core.' || :table_name, :column_name, :privilege) end;

-- name: may_use_schema()$
select case when to_regnamespace('core') is null then false else has_schema_privilege('core', 'usage') end;

-- name: visibility(table_name)^
-- Whether policies filter what this role reads, and the rows that the planner assumes (-1: the table was never analysed).
select row_security_active('core.' || :table_name) as is_filtered, c.reltuples::bigint as estimate
from pg_class c where c.oid = to_regclass('core.' || :table_name);

-- name: count_assets()$
select count(*) from core.media_assets;

-- name: count_links()$
select count(*) from core.media_links;

-- name: count_cast_photos()$
select count(*) from core.cast_photos;

-- name: count_variants()$
select count(*) from core.media_asset_variants;

-- name: backend_pid()$
select pg_backend_pid();

-- name: some_originals(limit)
select id, hosted_bucket, hosted_key, hosted_url
from core.media_assets
where hosted_key is not null and media_type = 'image' and archived_at is null
order by md5(id::text)
limit :limit;

-- name: plan(ids)^
-- Counts of a plan, over all rows, those of a source, or those given.
with chosen as (
    select a.* from core.media_assets a
    where a.media_type = 'image' and a.archived_at is null
      and (:ids::uuid[] is null or a.id = any(:ids::uuid[]))
), links as (
    select l.* from core.media_links l join chosen on chosen.id = l.media_asset_id
)
select (select count(*) from chosen) as photos,
       (select count(*) from chosen where hosted_key is not null) as with_original,
       (select count(*) from chosen where hosted_key is null and source_url ~* '^https?://') as to_mirror,
       (select count(*) from chosen where hosted_key is null and source_url ~* '^https?://' is not true) as without_any,
       (select count(*) from (select distinct hosted_bucket, hosted_key from chosen where hosted_key is not null) as one)
           as objects,
       (select count(*) from links) as links,
       (select count(*) from (select distinct entity_type, entity_id from links) as one) as galleries,
       (select count(*) from links where jsonb_typeof(context -> 'thumbnail_crop') = 'object')
           as links_with_crop,
       (select count(*) from chosen where jsonb_typeof(metadata -> 'thumbnail_crop') = 'object') as photos_with_crop,
       (select count(*) from (
            select distinct l.media_asset_id, l.context -> 'thumbnail_crop' from links l
            where jsonb_typeof(l.context -> 'thumbnail_crop') = 'object') as one) as frames,
       (select count(*) from chosen where metadata -> 'variants' ? 'base') as with_variants,
       (select count(*) from core.media_asset_variants v join chosen on chosen.id = v.media_asset_id) as variant_rows,
       (select coalesce(sum(hosted_bytes), 0)::bigint from chosen) as bytes,
       (select count(*) from chosen where hosted_key is not null and coalesce(hosted_bytes, 0) = 0) as unknown_bytes;

-- name: gallery_weights(limit)
select l.entity_id as id, coalesce(p.full_name, s.name, 'season ' || n.season_number, l.entity_type) as name,
       count(*) as photos,
       coalesce(sum(coalesce((a.metadata #>> '{variants,base,card,webp,bytes}')::bigint, a.hosted_bytes)), 0)::bigint
           as bytes
from core.media_links l
join core.media_assets a on a.id = l.media_asset_id
left join core.people p on p.id = l.entity_id
left join core.shows s on s.id = l.entity_id
left join core.seasons n on n.id = l.entity_id
group by l.entity_id, 2
order by 3 desc, 1
limit :limit;
