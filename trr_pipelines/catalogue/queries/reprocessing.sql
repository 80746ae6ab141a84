-- Work that ended and matches: of failed photos what failed, otherwise everything but originals that stand.

-- name: price(photo_id, state, reason, source, show_id, base_recipe, crop_recipe)^
-- Photos that match, the bytes of their originals, and how many sets they would get that do not stand yet.
with work as (
    select g.media_asset_id,
           bool_or(g.kind = 'original') as original,
           bool_or(g.kind = 'original' or (g.kind = 'base' and g.recipe <> :base_recipe)) as base,
           bool_or(g.kind = 'original' or (g.kind = 'crop' and g.recipe <> :crop_recipe)) as crop
    from core.variant_generations g
    join core.media_assets a on a.id = g.media_asset_id
    where g.state in ('complete', 'failed') and (g.kind <> 'original' or g.state = 'failed')
      and (:photo_id::uuid is null or a.id = :photo_id)
      and (:state::text is null or (:state = 'failed' and g.state = 'failed') or (:state <> 'failed' and a.state = :state))
      and (:reason::text is null or g.reason = :reason)
      and (:source::text is null or a.source = :source)
      and (:show_id::uuid is null or exists (
          select from core.media_links l
          left join core.seasons s on s.id = l.season_id
          where l.media_asset_id = a.id and :show_id in (l.show_id, s.show_id)))
    group by g.media_asset_id
)
select count(*) as photos,
       coalesce(sum(a.bytes), 0)::bigint as bytes,
       count(*) filter (where work.original) as originals,
       count(*) filter (where work.base) as base_sets,
       count(*) filter (where work.crop) as crop_sets
from work join core.media_assets a on a.id = work.media_asset_id;

-- name: ask(photo_id, state, reason, source, show_id)
-- Make what matches work again, for the sensor that asks for runs of scattered photos.
update core.variant_generations g
set state = 'pending', version = g.version + 1, lease_until = null, run_id = null, attempts = 0,
    reason = null, detail = null, next_attempt_at = null, asked_at = now(), updated_at = now()
from core.media_assets a
where a.id = g.media_asset_id and g.state in ('complete', 'failed') and (g.kind <> 'original' or g.state = 'failed')
  and (:photo_id::uuid is null or a.id = :photo_id)
  and (:state::text is null or (:state = 'failed' and g.state = 'failed') or (:state <> 'failed' and a.state = :state))
  and (:reason::text is null or g.reason = :reason)
  and (:source::text is null or a.source = :source)
  and (:show_id::uuid is null or exists (
      select from core.media_links l
      left join core.seasons s on s.id = l.season_id
      where l.media_asset_id = a.id and :show_id in (l.show_id, s.show_id)))
returning g.media_asset_id, g.kind;

-- name: measured(variants, idle_seconds)^
-- What the newest derivatives say: photos a second while work went on, and the bytes of an original and of each set.
with newest as (
    select media_asset_id, crop_signature <> '' as is_crop, bytes, created_at
    from core.media_asset_variants
    order by id desc
    limit :variants
), photo as (
    select media_asset_id, max(created_at) as ended from newest group by media_asset_id
), gap as (
    select extract(epoch from ended - lag(ended) over (order by ended))::float8 as seconds from photo
)
select (select count(*) / nullif(sum(seconds), 0) from gap where seconds < :idle_seconds) as photos_per_second,
       (select avg(a.bytes)::float8 from photo join core.media_assets a on a.id = photo.media_asset_id) as original,
       (select sum(bytes)::float8 / nullif(count(distinct media_asset_id), 0) from newest where not is_crop) as base_set,
       (select sum(bytes)::float8 / nullif(count(distinct media_asset_id), 0) from newest where is_crop) as crop_set;

-- name: source_is_known(source)$
select exists (select from core.import_batches where source = :source);
