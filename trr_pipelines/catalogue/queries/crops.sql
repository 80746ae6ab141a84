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
-- Serve a set whose files exist already. The work stays pending while the crop of a link is not served.
update core.variant_generations
set state = case when exists (
        select from core.media_links l
        where l.media_asset_id = :photo_id and l.crop_signature is not null
          and l.crop_signature is distinct from l.served_crop) then 'pending' else 'complete' end,
    wanted = :crop_signature, served = :crop_signature, recipe = :recipe,
    version = version + 1, lease_until = null, run_id = null, asked_at = null,
    attempts = 0, reason = null, detail = null, next_attempt_at = null, updated_at = now()
where media_asset_id = :photo_id and kind = 'crop';

-- name: restore_set(photo_id, crop_signature)!
update core.media_asset_variants set superseded_at = null
where media_asset_id = :photo_id and crop_signature = :crop_signature;

-- name: serve_links(photo_id, signatures)!
-- Links whose own crop has one of these signatures show its set from now on.
update core.media_links set served_crop = crop_signature
where media_asset_id = :photo_id and crop_signature = any(:signatures) and crop_signature is distinct from served_crop;

-- name: photo_of_link(link_id)$
select media_asset_id from core.media_links where id = :link_id;

-- name: link(photo_id, link_id)^
-- A link, and the crop that it shows: its own, or the photo's active one, which a link of the application never shows.
select l.id, l.is_external, l.crop_mode is not null as is_own, l.served_crop,
       case when l.crop_mode is not null then l.crop_mode when not l.is_external then c.crop_mode end as crop_mode,
       case when l.crop_mode is not null then l.crop_x when not l.is_external then c.crop_x end as crop_x,
       case when l.crop_mode is not null then l.crop_y when not l.is_external then c.crop_y end as crop_y,
       case when l.crop_mode is not null then l.crop_zoom when not l.is_external then c.crop_zoom end as crop_zoom,
       case when l.crop_mode is not null then l.crop_signature when not l.is_external then c.crop_signature end
           as crop_signature
from core.media_links l
left join core.media_asset_crops c on c.media_asset_id = l.media_asset_id and c.is_active
where l.id = :link_id and l.media_asset_id = :photo_id;

-- name: links_of_photo(photo_id)
select id, is_external from core.media_links where media_asset_id = :photo_id order by id;

-- name: set_link_crop(link_id, crop_mode, crop_x, crop_y, crop_zoom)^
-- Null when the link has this crop already. The set of a frame that is served of this photo is served here at once.
update core.media_links l
set crop_mode = :crop_mode, crop_x = :crop_x, crop_y = :crop_y, crop_zoom = :crop_zoom,
    crop_signature = new.signature, updated_at = now(),
    served_crop = case when :crop_mode::text is not null then coalesce((
        select v.crop_signature from core.media_asset_variants v
        where v.media_asset_id = l.media_asset_id and v.crop_signature = new.signature and v.superseded_at is null
        limit 1), l.served_crop) end
from core.media_assets a
cross join lateral (
    select core.crop_signature(:crop_mode, :crop_x, :crop_y, :crop_zoom, a.sha256) as signature) as new
where l.id = :link_id and a.id = l.media_asset_id
  and (l.crop_mode, l.crop_x, l.crop_y, l.crop_zoom) is distinct from
      (:crop_mode::text, :crop_x::numeric, :crop_y::numeric, :crop_zoom::numeric)
returning l.media_asset_id, l.crop_signature, l.served_crop;

-- name: wanted_crops(photo_ids)
-- Every frame that is wanted of each photo, once, with the links that want it as their own.
select media_asset_id, crop_mode, crop_x, crop_y, crop_zoom, crop_signature, bool_or(is_active) as is_active,
       coalesce(array_agg(link_id order by link_id) filter (where link_id is not null), '{}') as link_ids
from (
    select media_asset_id, crop_mode, crop_x, crop_y, crop_zoom, crop_signature, true as is_active, null::uuid as link_id
    from core.media_asset_crops where media_asset_id = any(:photo_ids) and is_active
    union all
    select media_asset_id, crop_mode, crop_x, crop_y, crop_zoom, crop_signature, false, id
    from core.media_links where media_asset_id = any(:photo_ids) and crop_signature is not null
) as crop
group by media_asset_id, crop_mode, crop_x, crop_y, crop_zoom, crop_signature
order by media_asset_id, is_active desc, crop_signature;

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
