-- name: set_rate(run_id, photos, seconds)!
insert into core.render_rates (run_id, photos, seconds) values (:run_id, :photos, :seconds)
on conflict on constraint render_rates_pkey do update set photos = excluded.photos, seconds = excluded.seconds;

-- name: recent_rate(runs)^
select coalesce(sum(photos), 0)::integer as photos, coalesce(sum(seconds), 0)::double precision as seconds
from (select photos, seconds from core.render_rates order by recorded_at desc limit :runs) as recent;

-- name: newest_derivatives(variants, idle_seconds)^
-- Of the newest derivatives: photos per second without idle time, and mean bytes of an original and of each set; null
-- when there is none.
with newest as (
    select media_asset_id, crop_signature, bytes, created_at
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
       (select sum(bytes)::float8 / nullif(count(distinct media_asset_id), 0)
        from newest where crop_signature = '') as base_set,
       (select sum(bytes)::float8 / nullif(count(distinct (media_asset_id, crop_signature)), 0)
        from newest where crop_signature <> '') as crop_set;

-- name: sets_by_recipe()
-- Complete sets by recipe: photos, bytes of their originals, bytes of the sets.
select g.kind, g.recipe, count(*)::integer as photos, coalesce(sum(a.bytes), 0)::bigint as original_bytes,
       coalesce(sum(s.bytes), 0)::bigint as set_bytes
from core.variant_generations g
join core.media_assets a on a.id = g.media_asset_id
left join lateral (
    select sum(v.bytes) as bytes from core.media_asset_variants v
    where v.media_asset_id = g.media_asset_id and v.superseded_at is null
      and (v.crop_signature <> '') = (g.kind = 'crop')
) as s on true
where g.kind in ('base', 'crop') and g.state = 'complete'
group by g.kind, g.recipe
order by g.kind, photos desc, g.recipe;

-- name: outdated_total(base_recipe, crop_recipe)^
-- Photos with at least one complete set of another recipe, and the bytes of their originals, each once.
select count(*)::integer as photos, coalesce(sum(bytes), 0)::bigint as bytes
from core.media_assets a
where exists (
    select from core.variant_generations g
    where g.media_asset_id = a.id and core.is_outdated(g.kind, g.state, g.recipe, :base_recipe, :crop_recipe));
