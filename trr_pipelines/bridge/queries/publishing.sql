-- What the bridge writes in the application: rows of media_asset_variants, its own keys of metadata and context, and, after
-- an edit here, the crop intent and the seed of one link.

-- name: lock_asset(asset_id)^
select metadata from core.media_assets where id = :asset_id for no key update;

-- name: lock_cast_photo(asset_id)^
select metadata from core.cast_photos where id = :asset_id for no key update;

-- name: lock_links(ids)
select id, context from core.media_links where id = any(:ids::uuid[]) order by id for no key update;

-- name: rows_of(asset_id, sets)
select to_jsonb(v) as row
from core.media_asset_variants v
where v.media_asset_id = :asset_id and v.crop_signature = any(:sets::text[])
order by v.id;

-- name: put_photo(asset_id, keys, removed, sets, dropped)$
-- Our keys of metadata in one statement; whatever else another writer has put there meanwhile stays.
update core.media_assets
set metadata = jsonb_set(
    metadata - :removed::text[] || :keys::jsonb, '{variants}',
    (case when jsonb_typeof(metadata -> 'variants') = 'object' then metadata -> 'variants' else '{}' end)
        - :dropped::text[] || :sets::jsonb)
where id = :asset_id
returning md5(jsonb_build_array(
    metadata -> 'variants', metadata -> 'thumb_url', metadata -> 'display_url', metadata -> 'detail_url',
    metadata -> 'crop_display_url', metadata -> 'crop_detail_url', metadata -> 'active_crop_signature')::text);

-- name: put_cast_photo(asset_id, keys, removed, sets, dropped)$
update core.cast_photos
set metadata = jsonb_set(
    metadata - :removed::text[] || :keys::jsonb, '{variants}',
    (case when jsonb_typeof(metadata -> 'variants') = 'object' then metadata -> 'variants' else '{}' end)
        - :dropped::text[] || :sets::jsonb)
where id = :asset_id
returning md5(jsonb_build_array(
    metadata -> 'variants', metadata -> 'thumb_url', metadata -> 'display_url', metadata -> 'detail_url',
    metadata -> 'crop_display_url', metadata -> 'crop_detail_url', metadata -> 'active_crop_signature')::text);

-- name: hosting_of(asset_id)^
select jsonb_build_object(
    'hosted_bucket', hosted_bucket, 'hosted_key', hosted_key, 'hosted_url', hosted_url, 'hosted_at', hosted_at,
    'hosted_sha256', hosted_sha256, 'hosted_content_type', hosted_content_type, 'hosted_bytes', hosted_bytes,
    'ingest_status', ingest_status) as hosting
from core.media_assets where id = :asset_id;

-- name: put_hosting(asset_id, hosting)!
-- The original that was fetched for a row without one; one that has been hosted meanwhile stays.
update core.media_assets a
set hosted_bucket = given.hosted_bucket, hosted_key = given.hosted_key, hosted_url = given.hosted_url,
    hosted_at = coalesce(given.hosted_at, now()), hosted_sha256 = given.hosted_sha256,
    hosted_content_type = given.hosted_content_type, hosted_bytes = given.hosted_bytes,
    ingest_status = given.ingest_status
from jsonb_to_record(:hosting::jsonb) as given (
    hosted_bucket text, hosted_key text, hosted_url text, hosted_at timestamptz, hosted_sha256 text,
    hosted_content_type text, hosted_bytes bigint, ingest_status text)
where a.id = :asset_id and a.hosted_key is null;

-- name: restore_hosting(asset_id, hosted_key, hosting)!
update core.media_assets a
set hosted_bucket = given.hosted_bucket, hosted_key = given.hosted_key, hosted_url = given.hosted_url,
    hosted_at = given.hosted_at, hosted_sha256 = given.hosted_sha256,
    hosted_content_type = given.hosted_content_type, hosted_bytes = given.hosted_bytes,
    ingest_status = given.ingest_status
from jsonb_to_record(:hosting::jsonb) as given (
    hosted_bucket text, hosted_key text, hosted_url text, hosted_at timestamptz, hosted_sha256 text,
    hosted_content_type text, hosted_bytes bigint, ingest_status text)
where a.id = :asset_id and a.hosted_key = :hosted_key;

-- name: put_links(links)
update core.media_links l
set context = coalesce(l.context, '{}') - given.removed || given.keys
from (
    select id, keys, array(select jsonb_array_elements_text(removed)) as removed
    from jsonb_to_recordset(:links::jsonb) as given (id uuid, keys jsonb, removed jsonb)
) as given
where l.id = given.id
returning l.id, md5(jsonb_build_array(
    l.context -> 'crop_display_url', l.context -> 'crop_detail_url', l.context -> 'active_crop_signature')::text) as digest;

-- name: remove_rows(asset_id, rows)!
-- Rows of the same rendition, format and set as these.
delete from core.media_asset_variants v
using jsonb_to_recordset(:rows::jsonb) as given (variant_key text, format text, crop_signature text)
where v.media_asset_id = :asset_id
  and (v.variant_key, v.format, v.crop_signature) = (given.variant_key, given.format, given.crop_signature);

-- name: remove_rows_of_keys(hosted_keys)!
-- Objects have one row: a row of another photo that shares them leaves it.
delete from core.media_asset_variants where hosted_key = any(:hosted_keys);

-- name: add_rows(asset_id, rows)!
insert into core.media_asset_variants
    (media_asset_id, variant_key, format, width, height, bytes, hosted_bucket, hosted_key, hosted_url,
     crop_mode, crop_x, crop_y, crop_zoom, crop_signature)
select :asset_id, variant_key, format, width, height, bytes, hosted_bucket, hosted_key, hosted_url,
       crop_mode, crop_x, crop_y, crop_zoom, crop_signature
from jsonb_to_recordset(:rows::jsonb) as given (
    variant_key text, format text, width integer, height integer, bytes bigint, hosted_bucket text, hosted_key text,
    hosted_url text, crop_mode text, crop_x numeric, crop_y numeric, crop_zoom numeric, crop_signature text);

-- name: restore_rows(rows)!
insert into core.media_asset_variants
select * from jsonb_populate_recordset(null::core.media_asset_variants, :rows::jsonb)
on conflict do nothing;

-- name: restore_photo(asset_id, keys, removed, sets, dropped, variants, had_variants)!
-- Take back our keys; `variants` itself too where there was none, or where it was no object.
update core.media_assets a
set metadata = case
    when :had_variants then jsonb_set(restored.metadata, '{variants}', restored.variants)
    when restored.variants = '{}' then restored.metadata - 'variants' || :variants::jsonb
    else jsonb_set(restored.metadata, '{variants}', restored.variants) end
from (
    select id, metadata - :removed::text[] || :keys::jsonb as metadata,
           (case when jsonb_typeof(metadata -> 'variants') = 'object' then metadata -> 'variants' else '{}' end)
               - :dropped::text[] || :sets::jsonb as variants
    from core.media_assets where id = :asset_id
) as restored
where a.id = restored.id;

-- name: restore_cast_photo(asset_id, keys, removed, sets, dropped, variants, had_variants)!
update core.cast_photos a
set metadata = case
    when :had_variants then jsonb_set(restored.metadata, '{variants}', restored.variants)
    when restored.variants = '{}' then restored.metadata - 'variants' || :variants::jsonb
    else jsonb_set(restored.metadata, '{variants}', restored.variants) end
from (
    select id, metadata - :removed::text[] || :keys::jsonb as metadata,
           (case when jsonb_typeof(metadata -> 'variants') = 'object' then metadata -> 'variants' else '{}' end)
               - :dropped::text[] || :sets::jsonb as variants
    from core.cast_photos where id = :asset_id
) as restored
where a.id = restored.id;

-- name: restore_links(links)!
update core.media_links l
set context = case
    when given.was_null and coalesce(l.context, '{}') - given.removed || given.keys = '{}' then null
    else coalesce(l.context, '{}') - given.removed || given.keys end
from (
    select id, keys, was_null, array(select jsonb_array_elements_text(removed)) as removed
    from jsonb_to_recordset(:links::jsonb) as given (id uuid, keys jsonb, removed jsonb, was_null boolean)
) as given
where l.id = given.id;

-- name: write_back(link_id, with_crop, crop, with_seed, facebank_seed)!
-- An edit that was made here: the crop intent (null takes it away), the seed, or both; no other key.
update core.media_links
set context = case
        when not :with_crop then context
        when :crop::jsonb is null then context - 'thumbnail_crop'
        else jsonb_set(coalesce(context, '{}'), '{thumbnail_crop}', :crop::jsonb) end,
    facebank_seed = case when :with_seed then :facebank_seed else facebank_seed end
where id = :link_id;

-- name: metadata_of(ids)
select id, metadata from core.media_assets where id = any(:ids);

-- name: metadata_of_cast_photos(ids)
select id, metadata from core.cast_photos where id = any(:ids);

-- name: contexts_of(ids)
select id, context from core.media_links where id = any(:ids);
