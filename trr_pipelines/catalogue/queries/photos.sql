-- name: photos_by_id(photo_ids)
-- `link_crops` are the crops of links and of rows of the application, `crop_sets` the sets of the present original, served or superseded.
select a.id, a.source, a.source_url, a.sha256, a.bytes, a.format, a.hosted_bucket, a.hosted_key, a.hosted_url,
       a.is_external, a.proposes_crop,
       c.crop_mode, c.crop_x, c.crop_y, c.crop_zoom, c.crop_signature,
       (select coalesce(jsonb_agg(distinct jsonb_build_object(
                   'crop_mode', l.crop_mode, 'crop_x', l.crop_x, 'crop_y', l.crop_y, 'crop_zoom', l.crop_zoom,
                   'crop_signature', l.crop_signature)), '[]')
        from (
            select crop_mode, crop_x, crop_y, crop_zoom, crop_signature
            from core.media_links where media_asset_id = a.id
            union all
            select crop_mode, crop_x, crop_y, crop_zoom, crop_signature
            from core.application_assets where photo_id = a.id
        ) as l
        where l.crop_signature is not null) as link_crops,
       (select coalesce(jsonb_agg(jsonb_build_object(
                   'signature', s.crop_signature, 'recipe', s.recipe, 'keys', s.keys)), '[]')
        from (
            select v.crop_signature, v.recipe, array_agg(distinct v.variant_key) as keys
            from core.media_asset_variants v
            where v.media_asset_id = a.id and v.crop_signature <> '' and v.source_version = a.sha256
            group by v.crop_signature, v.recipe
        ) as s) as crop_sets,
       exists (select from core.application_assets r where r.photo_id = a.id) as is_published
from core.media_assets a
left join core.media_asset_crops c on c.media_asset_id = a.id and c.is_active
where a.id = any(:photo_ids);

-- name: is_external(bucket, hosted_key)$
select exists (
    select from core.media_assets where is_external and hosted_bucket = :bucket and hosted_key = :hosted_key);

-- name: lock_bytes(sha256)$
select true from (select pg_advisory_xact_lock(hashtextextended(:sha256, 0))) as locked;

-- name: photo_with_bytes(sha256)$
-- The photo that has or had these bytes. Bytes that another program has replaced under their key are gone.
select v.media_asset_id
from core.media_asset_versions v join core.media_assets a on a.id = v.media_asset_id
where v.sha256 = :sha256 and (not v.is_external or a.sha256 = v.sha256);

-- name: place_of_bytes(sha256, bucket)^
-- Where these bytes are already: an object of ours in this bucket, or the external original that a photo has now.
select v.hosted_bucket, v.hosted_key, a.hosted_url, v.is_external
from core.media_asset_versions v join core.media_assets a on a.id = v.media_asset_id
where v.sha256 = :sha256
  and case when v.is_external then a.is_external and a.sha256 = v.sha256 else v.hosted_bucket = :bucket end;

-- name: register_original(sha256, bytes, width, height, format, frames, hosted_bucket, hosted_key, hosted_url, is_external, photo_id)!
update core.media_assets
set state = 'mirrored', reason = null, sha256 = :sha256, bytes = :bytes, width = :width, height = :height,
    format = :format, frames = :frames, hosted_bucket = :hosted_bucket, hosted_key = :hosted_key,
    hosted_url = :hosted_url, is_external = :is_external, updated_at = now(),
    metadata = metadata - 'original_unfit'
where id = :photo_id;

-- name: remove_lost_version(photo_id, sha256)!
-- Bytes that another photo had as its external original, until their key got others.
delete from core.media_asset_versions v
using core.media_assets a
where v.sha256 = :sha256 and v.media_asset_id <> :photo_id and v.is_external
  and a.id = v.media_asset_id and a.sha256 <> v.sha256;

-- name: add_version(photo_id, sha256, bytes, width, height, format, hosted_bucket, hosted_key, is_external, author)!
-- A version that the photo had before may be elsewhere now.
insert into core.media_asset_versions as v
    (media_asset_id, sha256, bytes, width, height, format, hosted_bucket, hosted_key, is_external, author)
values (:photo_id, :sha256, :bytes, :width, :height, :format, :hosted_bucket, :hosted_key, :is_external, :author)
on conflict on constraint media_asset_versions_pkey do update
    set hosted_bucket = excluded.hosted_bucket, hosted_key = excluded.hosted_key, is_external = excluded.is_external
    where (v.hosted_bucket, v.hosted_key, v.is_external)
          is distinct from (excluded.hosted_bucket, excluded.hosted_key, excluded.is_external);

-- name: versions(photo_id)
select sha256, bytes, width, height, format, hosted_key, author, created_at
from core.media_asset_versions where media_asset_id = :photo_id
order by created_at desc, sha256;

-- name: move_external_links(kept_id, duplicate_id)!
-- Links of the application keep their ids, and its rows share the photo that has their bytes.
with shown as (
    update core.application_assets set photo_id = :kept_id, wanted_version = wanted_version + 1
    where photo_id = :duplicate_id
)
update core.media_links set media_asset_id = :kept_id, served_crop = null, updated_at = now()
where media_asset_id = :duplicate_id and is_external;

-- name: move_links(kept_id, duplicate_id)!
-- Move the links of a duplicate to the photo with the same bytes; where that has the link already, keep it.
insert into core.media_links
    (media_asset_id, show_id, season_id, person_id, kind, position, caption, tags, facebank_seed, is_primary,
     crop_mode, crop_x, crop_y, crop_zoom)
select :kept_id, show_id, season_id, person_id, kind, position, caption, tags, facebank_seed, is_primary,
       crop_mode, crop_x, crop_y, crop_zoom
from core.media_links where media_asset_id = :duplicate_id and not is_external
on conflict (media_asset_id, entity_id, kind) where not is_external
    do update set facebank_seed = media_links.facebank_seed or excluded.facebank_seed,
                  is_primary = media_links.is_primary or excluded.is_primary
    where excluded.facebank_seed > media_links.facebank_seed or excluded.is_primary > media_links.is_primary;

-- name: move_items(kept_id, duplicate_id)!
update core.import_items set media_asset_id = :kept_id, outcome = 'duplicate'
where media_asset_id = :duplicate_id;

-- name: retire_originals(photo_id)!
-- Objects of originals that lose their row with the photo; not those of another program.
insert into core.retired_objects (hosted_bucket, hosted_key, media_asset_id, bytes)
select hosted_bucket, hosted_key, media_asset_id, bytes
from core.media_asset_versions where media_asset_id = :photo_id and not is_external
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

-- name: sign_link_crops(photo_ids)!
-- Sign the crops of links, and of rows of the application, for the present original.
with rows as (
    update core.application_assets r
    set crop_signature = core.crop_signature(r.crop_mode, r.crop_x, r.crop_y, r.crop_zoom, a.sha256)
    from core.media_assets a
    where a.id = any(:photo_ids) and r.photo_id = a.id
      and r.crop_signature is distinct from core.crop_signature(r.crop_mode, r.crop_x, r.crop_y, r.crop_zoom, a.sha256)
)
update core.media_links l
set crop_signature = core.crop_signature(l.crop_mode, l.crop_x, l.crop_y, l.crop_zoom, a.sha256)
from core.media_assets a
where a.id = any(:photo_ids) and l.media_asset_id = a.id and l.crop_mode is not null
  and l.crop_signature is distinct from core.crop_signature(l.crop_mode, l.crop_x, l.crop_y, l.crop_zoom, a.sha256);

-- name: want_link_crops(photo_ids)!
-- Make crop work pending while a crop of a link, or of a row of the application, is not served; the new version makes a
-- render without it stale.
update core.variant_generations g
set state = 'pending', version = version + 1, lease_until = null, run_id = null,
    asked_at = null, attempts = 0, reason = null, detail = null, next_attempt_at = null, updated_at = now()
where g.media_asset_id = any(:photo_ids) and g.kind = 'crop'
  and (exists (select from core.media_links l
               where l.media_asset_id = g.media_asset_id and l.crop_signature is not null
                 and l.crop_signature is distinct from l.served_crop)
       or exists (select from core.application_assets r
                  where r.photo_id = g.media_asset_id and r.crop_signature is not null
                    and not exists (select from core.media_asset_variants v
                                    where v.media_asset_id = r.photo_id and v.crop_signature = r.crop_signature
                                      and v.superseded_at is null)));

-- name: supersede_unused_crops(photo_id)!
update core.media_asset_variants v set superseded_at = now()
where v.media_asset_id = :photo_id and v.crop_signature <> '' and v.superseded_at is null
  and not exists (select from core.crops_in_use used
                  where used.media_asset_id = v.media_asset_id and used.crop_signature = v.crop_signature);

-- name: refresh_variant_cache(photo_id)!
-- The base set and the set of the active crop. Rows of the application that show this photo are published again.
with shown as (
    update core.application_assets set wanted_version = wanted_version + 1 where photo_id = :photo_id
)
update core.media_assets a
set metadata = jsonb_set(a.metadata, '{variants}', coalesce((
    select jsonb_object_agg(v.variant_key || '.' || v.format, jsonb_build_object(
        'url', v.hosted_url, 'width', v.width, 'height', v.height, 'bytes', v.bytes))
    from core.media_asset_variants v
    left join core.variant_generations g on g.media_asset_id = v.media_asset_id and g.kind = 'crop'
    where v.media_asset_id = a.id and v.superseded_at is null and v.crop_signature in ('', g.served)), '{}'))
where a.id = :photo_id;
