-- name: lock_photo(photo_id)^
-- Serialises edits of one photo with each other and with the commit of a render.
select id, state, reason, sha256 from core.media_assets where id = :photo_id for no key update;

-- name: active(photo_id)^
select crop_mode, crop_x, crop_y, crop_zoom, crop_signature, source_version, reason, author, created_at
from core.media_asset_crops where media_asset_id = :photo_id and is_active;

-- name: newest_with_signature(photo_id, crop_signature)^
select crop_mode, crop_x, crop_y, crop_zoom, crop_signature, source_version, reason, author, created_at
from core.media_asset_crops
where media_asset_id = :photo_id and crop_signature = :crop_signature
order by id desc
limit 1;

-- name: newest_proposal(photo_id, source_version)^
select crop_mode, crop_x, crop_y, crop_zoom, crop_signature, source_version, reason, author, created_at
from core.media_asset_crops
where media_asset_id = :photo_id and crop_mode = 'auto' and source_version = :source_version
order by id desc
limit 1;

-- name: photo_exists(photo_id)$
select exists (select from core.media_assets where id = :photo_id);

-- name: history(photo_id, limit)
select crop_mode, crop_x, crop_y, crop_zoom, crop_signature, source_version, reason, author, is_active, created_at
from core.media_asset_crops where media_asset_id = :photo_id
order by id desc
limit :limit;

-- name: deactivate(photo_id)!
update core.media_asset_crops set is_active = false where media_asset_id = :photo_id and is_active;

-- name: lock_set(photo_id, crop_signature, recipe, source_version)
-- The rows of an existing set, locked so that retention cannot remove them.
select variant_key from core.media_asset_variants
where media_asset_id = :photo_id and crop_signature = :crop_signature
  and recipe = :recipe and source_version = :source_version
order by id
for update;

-- name: want(photo_id, crop_signature)!
-- Make a crop pending work; the new version makes a render of an earlier crop stale.
update core.variant_generations
set state = 'pending', wanted = :crop_signature, version = version + 1, lease_until = null, run_id = null,
    asked_at = null, attempts = 0, reason = null, detail = null, next_attempt_at = null, updated_at = now()
where media_asset_id = :photo_id and kind = 'crop';

-- name: serve(photo_id, crop_signature, recipe)!
-- Serve a set whose files exist already.
update core.variant_generations
set state = 'complete', wanted = :crop_signature, served = :crop_signature, recipe = :recipe,
    version = version + 1, lease_until = null, run_id = null, asked_at = null,
    attempts = 0, reason = null, detail = null, next_attempt_at = null, updated_at = now()
where media_asset_id = :photo_id and kind = 'crop';

-- name: restore_set(photo_id, crop_signature)!
update core.media_asset_variants set superseded_at = null
where media_asset_id = :photo_id and crop_signature = :crop_signature;

-- name: churn(days)^
-- Edits by people within :days days, and all proposals that they corrected. Each is one pass over the crops: groups are
-- hashed, where `count(distinct …)` would sort a million hashes.
select coalesce(sum(edits), 0)::bigint as edits, count(*) as photos, count(proposal) as proposed,
       count(*) filter (where proposal < edit) as corrected,
       (select count(*) from (select from core.media_asset_crops group by crop_signature) as one) as signatures
from (
    select count(*) filter (
               where crop_mode = 'manual' and created_at > now() - make_interval(days => :days)) as edits,
           min(id) filter (where crop_mode = 'auto') as proposal,
           max(id) filter (where crop_mode = 'manual') as edit
    from core.media_asset_crops
    group by media_asset_id
) as photo;

-- name: served(photo_id)$
select served from core.variant_generations where media_asset_id = :photo_id and kind = 'crop';
