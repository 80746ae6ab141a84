-- name: photos_by_id(photo_ids)
select a.id, a.source, a.source_url, a.sha256, a.bytes, a.format, a.hosted_key,
       c.crop_mode, c.crop_x, c.crop_y, c.crop_zoom, c.crop_signature
from core.media_assets a
left join core.media_asset_crops c on c.media_asset_id = a.id and c.is_active
where a.id = any(:photo_ids);

-- name: lock_bytes(sha256)$
select true from (select pg_advisory_xact_lock(hashtextextended(:sha256, 0))) as locked;

-- name: photo_with_bytes(sha256)$
-- The photo that has or had these bytes.
select media_asset_id from core.media_asset_versions where sha256 = :sha256;

-- name: register_original(sha256, bytes, width, height, format, frames, hosted_bucket, hosted_key, hosted_url, photo_id)!
update core.media_assets
set state = 'mirrored', reason = null, sha256 = :sha256, bytes = :bytes, width = :width, height = :height,
    format = :format, frames = :frames, hosted_bucket = :hosted_bucket, hosted_key = :hosted_key,
    hosted_url = :hosted_url, updated_at = now(), metadata = metadata - 'original_unfit'
where id = :photo_id;

-- name: add_version(photo_id, sha256, bytes, width, height, format, hosted_bucket, hosted_key, author)!
insert into core.media_asset_versions
    (media_asset_id, sha256, bytes, width, height, format, hosted_bucket, hosted_key, author)
values (:photo_id, :sha256, :bytes, :width, :height, :format, :hosted_bucket, :hosted_key, :author)
on conflict on constraint media_asset_versions_pkey do nothing;

-- name: versions(photo_id)
select sha256, bytes, width, height, format, hosted_key, author, created_at
from core.media_asset_versions where media_asset_id = :photo_id
order by created_at desc, sha256;

-- name: move_links(kept_id, duplicate_id)!
-- Move the links of a duplicate to the photo with the same bytes; where that has the link already, keep it.
insert into core.media_links
    (media_asset_id, show_id, season_id, person_id, kind, position, caption, tags, facebank_seed, is_primary)
select :kept_id, show_id, season_id, person_id, kind, position, caption, tags, facebank_seed, is_primary
from core.media_links where media_asset_id = :duplicate_id
on conflict on constraint media_links_media_asset_id_entity_id_kind_key
    do update set facebank_seed = media_links.facebank_seed or excluded.facebank_seed,
                  is_primary = media_links.is_primary or excluded.is_primary
    where excluded.facebank_seed > media_links.facebank_seed or excluded.is_primary > media_links.is_primary;

-- name: move_items(kept_id, duplicate_id)!
update core.import_items set media_asset_id = :kept_id, outcome = 'duplicate'
where media_asset_id = :duplicate_id;

-- name: retire_originals(photo_id)!
-- Objects of originals that lose their row with the photo.
insert into core.retired_objects (hosted_bucket, hosted_key, media_asset_id, bytes)
select hosted_bucket, hosted_key, media_asset_id, bytes from core.media_asset_versions where media_asset_id = :photo_id
on conflict on constraint retired_objects_pkey do nothing;

-- name: has_base_set(photo_id)$
select exists (select from core.media_asset_variants where media_asset_id = :photo_id and crop_signature = '');

-- name: remove_photo(photo_id)!
delete from core.media_assets where id = :photo_id;

-- name: take_first_address(photo_id)!
-- Which of two duplicates arrives first is chance; a photo keeps the address of its first import.
update core.media_assets a
set source = first.source, source_url = first.source_url
from (select source, source_url from core.import_items where media_asset_id = :photo_id order by id limit 1) as first
where a.id = :photo_id and (a.source, a.source_url) is distinct from (first.source, first.source_url)
  and not exists (
      select from core.media_assets other where (other.source, other.source_url) = (first.source, first.source_url));

-- name: mark_failed(reason, photo_id)!
-- A photo that still has an earlier base set can be shown, so it does not fail.
update core.media_assets a set state = 'failed', reason = :reason, updated_at = now()
where id = :photo_id
  and not exists (select from core.media_asset_variants v where v.media_asset_id = a.id and v.crop_signature = '');

-- name: mark_rendered(width, height, frames, placeholder, dominant_color, warnings, unfit, photo_id)!
update core.media_assets
set state = 'mirrored', reason = null, width = :width, height = :height, frames = :frames,
    placeholder = :placeholder, dominant_color = :dominant_color, updated_at = now(),
    metadata = metadata || jsonb_build_object('warnings', :warnings::jsonb, 'original_unfit', :unfit::jsonb)
where id = :photo_id;

-- name: add_crop(photo_id, crop_mode, crop_x, crop_y, crop_zoom, crop_signature, source_version, reason, author)!
insert into core.media_asset_crops
    (media_asset_id, crop_mode, crop_x, crop_y, crop_zoom, crop_signature, source_version, reason, author, is_active)
values (:photo_id, :crop_mode, :crop_x, :crop_y, :crop_zoom, :crop_signature, :source_version, :reason, :author, true);

-- name: retire_left_objects(photo_id, crop_signature, hosted_keys)!
-- Objects whose rows the new set replaces.
insert into core.retired_objects (hosted_bucket, hosted_key, media_asset_id, bytes)
select hosted_bucket, hosted_key, media_asset_id, bytes
from core.media_asset_variants
where media_asset_id = :photo_id and crop_signature = :crop_signature and hosted_key <> all(:hosted_keys)
on conflict on constraint retired_objects_pkey do nothing;

-- name: remove_left_variants(photo_id, crop_signature, variants)!
-- Rows of keys and formats that the new set lacks.
delete from core.media_asset_variants v
where v.media_asset_id = :photo_id and v.crop_signature = :crop_signature
  and not exists (
      select from jsonb_to_recordset(:variants::jsonb) as new (variant_key text, format text)
      where new.variant_key = v.variant_key and new.format = v.format
  );

-- name: put_variants(photo_id, crop_mode, crop_x, crop_y, crop_zoom, crop_signature, recipe, source_version, variants)!
insert into core.media_asset_variants
    (media_asset_id, variant_key, format, width, height, bytes, sha256, hosted_bucket, hosted_key, hosted_url,
     crop_mode, crop_x, crop_y, crop_zoom, crop_signature, recipe, source_version)
select :photo_id, variant_key, format, width, height, bytes, sha256, hosted_bucket, hosted_key, hosted_url,
       :crop_mode, :crop_x, :crop_y, :crop_zoom, :crop_signature, :recipe, :source_version
from jsonb_to_recordset(:variants::jsonb) as new (
    variant_key text, format text, width integer, height integer, bytes bigint, sha256 text,
    hosted_bucket text, hosted_key text, hosted_url text
)
on conflict on constraint media_asset_variants_identity_key do update
    set width = excluded.width, height = excluded.height, bytes = excluded.bytes, sha256 = excluded.sha256,
        hosted_bucket = excluded.hosted_bucket, hosted_key = excluded.hosted_key, hosted_url = excluded.hosted_url,
        recipe = excluded.recipe, source_version = excluded.source_version, superseded_at = null
    where (media_asset_variants.width, media_asset_variants.height, media_asset_variants.bytes,
           media_asset_variants.hosted_key, media_asset_variants.sha256, media_asset_variants.recipe)
          is distinct from (excluded.width, excluded.height, excluded.bytes,
                            excluded.hosted_key, excluded.sha256, excluded.recipe)
       or media_asset_variants.superseded_at is not null;

-- name: supersede_other_crops(photo_id, crop_signature)!
update core.media_asset_variants set superseded_at = now()
where media_asset_id = :photo_id and crop_signature not in ('', :crop_signature) and superseded_at is null;

-- name: refresh_variant_cache(photo_id)!
update core.media_assets a
set metadata = jsonb_set(a.metadata, '{variants}', coalesce((
    select jsonb_object_agg(v.variant_key || '.' || v.format, jsonb_build_object(
        'url', v.hosted_url, 'width', v.width, 'height', v.height, 'bytes', v.bytes))
    from core.media_asset_variants v
    where v.media_asset_id = a.id and v.superseded_at is null), '{}'))
where a.id = :photo_id;
