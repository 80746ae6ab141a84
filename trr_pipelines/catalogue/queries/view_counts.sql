-- name: find_season(show_id, number)$
select id from core.seasons where show_id = :show_id and number = :number;

-- name: add_view(entity_kind, entity_id, photos)!
insert into core.gallery_views (entity_kind, entity_id, photos) values (:entity_kind, :entity_id, :photos);

-- name: add_timings(keys, ms)!
insert into core.image_timings (variant_key, ms) select * from unnest(:keys::text[], :ms::integer[]);

-- name: prune_views(days, most)!
-- Each view deletes a few old rows, so that the tables stay bounded and no single view pays for a clean-up.
delete from core.gallery_views where id in (
    select id from core.gallery_views where at < now() - make_interval(days => :days) order by at limit :most);

-- name: prune_timings(days, most)!
delete from core.image_timings where id in (
    select id from core.image_timings where at < now() - make_interval(days => :days) order by at limit :most);

-- name: image_times(days, most)
-- The newest timings by rendition key: number, p50 and p95 in milliseconds.
select variant_key, count(*) as count, percentile_disc(0.5) within group (order by ms) as p50_ms,
       percentile_disc(0.95) within group (order by ms) as p95_ms
from (
    select variant_key, ms from core.image_timings
    where at > now() - make_interval(days => :days)
    order by at desc
    limit :most
) as newest
group by variant_key
order by array_position(array['original', 'thumb', 'card', 'detail', 'crop_card', 'crop_detail'], variant_key);
