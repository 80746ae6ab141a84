-- Inputs of the figures of a day. Each reads one table, an index or a bounded number of rows; none locks.

-- name: photos_by_source()
select source, count(*) as photos,
       count(*) filter (where state = 'mirrored') as mirrored,
       count(*) filter (where state = 'pending') as pending,
       count(*) filter (where state = 'failed') as failed
from core.media_assets
group by source
order by photos desc, source;

-- name: stored_bytes()^
-- Originals of all versions; served derivatives; superseded and retired objects that wait for retention.
select (select coalesce(sum(bytes), 0) from core.media_asset_versions)::bigint as originals,
       (select coalesce(sum(bytes), 0) from core.media_asset_variants where superseded_at is null)::bigint
           as derivatives,
       ((select coalesce(sum(bytes), 0) from core.media_asset_variants where superseded_at is not null)
        + (select coalesce(sum(bytes), 0) from core.retired_objects))::bigint as retired;

-- name: viewed_photos(days, most)
-- Photos of viewed galleries with the mean number of times that each was seen: a view records how many photos of a
-- gallery were seen, not which. A show's gallery includes its seasons. The first :most ids are a random sample.
with viewed as (
    select entity_id, sum(photos) as pictures
    from core.gallery_views
    where at > now() - make_interval(days => :days)
    group by entity_id
    having sum(photos) > 0
), part as (
    select entity_id as gallery_id, entity_id from viewed
    union all
    select v.entity_id, s.id from viewed v join core.seasons s on s.show_id = v.entity_id
), gallery as (
    select part.gallery_id, count(*) as links
    from part join core.media_links using (entity_id)
    group by part.gallery_id
), weighted as (
    select part.entity_id, sum(viewed.pictures::float8 / gallery.links) as weight
    from part
    join gallery using (gallery_id)
    join viewed on viewed.entity_id = part.gallery_id
    group by part.entity_id
)
select l.media_asset_id, sum(weighted.weight) as weight
from core.media_links l
join weighted using (entity_id)
group by l.media_asset_id
order by l.media_asset_id
limit :most;

-- name: linked_photos(most)
-- Photos with the number of their galleries. The first :most ids are a random sample, because ids are random.
select media_asset_id, count(*)::float8 as weight
from core.media_links
group by media_asset_id
order by media_asset_id
limit :most;

-- name: pictures_viewed(days)$
select coalesce(sum(photos), 0)::float8 from core.gallery_views where at > now() - make_interval(days => :days);

-- name: payloads(photo_ids)
-- Bytes of the smallest file of each photo and rendition key. `original` is the bytes of the original, and `is_fit` says
-- whether it may be served in place of a larger derivative.
select photo.id as media_asset_id, a.original, a.is_fit, v.variant_key, v.bytes
from unnest(:photo_ids::uuid[]) as photo (id)
cross join lateral (
    select bytes as original, metadata -> 'original_unfit' = '[]' as is_fit
    from core.media_assets where id = photo.id and state = 'mirrored'
    offset 0  -- a lookup by key: as a join with 20,000 ids, the whole table would be read
) as a
left join lateral (
    select variant_key, min(bytes) as bytes from core.media_asset_variants
    where media_asset_id = photo.id and superseded_at is null
    group by variant_key
) as v on true;

-- name: served_after(days, most)
-- By lane: seconds from import to the first card, of photos first served within :days days, among the newest :most card
-- rows, so that the cost does not grow with the archive.
select lane, count(*) as photos, percentile_disc(0.5) within group (order by seconds) as p50,
       percentile_disc(0.95) within group (order by seconds) as p95
from (
    select b.lane, extract(epoch from first.at - a.created_at)::float8 as seconds
    from (
        select distinct media_asset_id
        from (select media_asset_id from core.media_asset_variants
              where variant_key = 'card' order by id desc limit :most) as newest
    ) as card
    join core.media_assets a on a.id = card.media_asset_id
    join core.import_batches b on b.key = a.batch_key
    cross join lateral (
        select min(v.created_at) as at from core.media_asset_variants v
        where v.media_asset_id = a.id and v.variant_key = 'card'
    ) as first
    where first.at > now() - make_interval(days => :days)
) as served
group by lane
order by lane;

-- name: run_times(days, most)^
-- Seconds of rendering of runs of batches that rendered something.
select count(*) as runs, percentile_disc(0.5) within group (order by seconds) as p50,
       percentile_disc(0.95) within group (order by seconds) as p95,
       sum(photos) / sum(seconds) as photos_per_second
from (select photos, seconds from core.render_rates
      where recorded_at > now() - make_interval(days => :days)
      order by recorded_at desc limit :most) as recent;

-- name: forget_day(day)!
delete from core.delivery_metrics where day = :day;

-- name: add_figures(day, metrics, dimensions, values)!
insert into core.delivery_metrics (day, metric, dimension, value)
select :day, * from unnest(:metrics::text[], :dimensions::text[], :values::double precision[])
on conflict on constraint delivery_metrics_pkey do update set value = excluded.value, taken_at = excluded.taken_at;

-- name: newest()
select day, metric, dimension, value, extract(epoch from now() - taken_at)::float8 as age_seconds
from core.delivery_metrics
where day = (select max(day) from core.delivery_metrics)
order by metric, dimension;

-- name: history(after)
select day, metric, dimension, value from core.delivery_metrics where day > :after order by day, metric, dimension;
