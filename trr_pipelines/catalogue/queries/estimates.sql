-- name: set_rate(run_id, photos, seconds)!
insert into core.render_rates (run_id, photos, seconds) values (:run_id, :photos, :seconds)
on conflict on constraint render_rates_pkey do update set photos = excluded.photos, seconds = excluded.seconds;

-- name: recent_rate(runs)^
select coalesce(sum(photos), 0)::integer as photos, coalesce(sum(seconds), 0)::double precision as seconds
from (select photos, seconds from core.render_rates order by recorded_at desc limit :runs) as recent;

-- name: mean_sizes()^
-- Mean bytes of an original, a base set and a crop set; null where there is none yet.
select (select avg(bytes) from core.media_assets where bytes is not null)::bigint as original,
       (select sum(bytes) / count(distinct media_asset_id) from core.media_asset_variants
        where superseded_at is null and crop_signature = '')::bigint as base,
       (select sum(bytes) / count(distinct media_asset_id) from core.media_asset_variants
        where superseded_at is null and crop_signature <> '')::bigint as crop;

-- name: sets_by_recipe()
-- Complete sets by the recipe that they were made with: photos, bytes to read again, bytes that the sets take.
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
-- Photos of which at least one complete set is of another recipe, and their original bytes, each once.
select count(*)::integer as photos, coalesce(sum(bytes), 0)::bigint as bytes
from core.media_assets a
where exists (
    select from core.variant_generations g
    where g.media_asset_id = a.id and g.state = 'complete'
      and ((g.kind = 'base' and g.recipe <> :base_recipe) or (g.kind = 'crop' and g.recipe <> :crop_recipe)));
