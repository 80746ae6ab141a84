-- Where a query takes a batch, null means the whole archive.

-- name: assets_by_state()
select state, count(*) as photos from core.media_assets group by state;

-- name: generations_by_state()
select kind, state, count(*) as photos from core.variant_generations group by kind, state;

-- name: originals_total()^
select count(*) as count, coalesce(sum(bytes), 0)::bigint as bytes from core.media_assets where hosted_key is not null;

-- name: variants_total()^
select count(*) as count, coalesce(sum(bytes), 0)::bigint as bytes
from core.media_asset_variants where superseded_at is null;

-- name: failed_photos(batch)
-- Each failed photo once, with the reason of the earliest step that failed.
select distinct on (g.media_asset_id)
    g.media_asset_id, a.source, a.source_url, g.kind, g.reason, g.detail, g.attempts, g.next_attempt_at
from core.variant_generations g
join core.media_assets a on a.id = g.media_asset_id
where g.state = 'failed' and (:batch::text is null or a.batch_key = :batch::text)
order by g.media_asset_id, array_position(array['original', 'base', 'crop'], g.kind);

-- name: grid(batch)^
-- Bytes of a gallery grid: the original of each photo against the smallest card that browsers get.
select count(*) as photos,
       coalesce(percentile_disc(0.5) within group (order by before), 0)::bigint as median_bytes_before,
       coalesce(percentile_disc(0.5) within group (order by after), 0)::bigint as median_bytes_after,
       coalesce(percentile_cont(0.5) within group (order by 1 - after::float8 / before), 0) as median_reduction
from (
    select a.bytes as before, min(v.bytes) as after
    from core.media_assets a
    join core.media_asset_variants v
        on v.media_asset_id = a.id and v.variant_key = 'card' and v.superseded_at is null
    where (:batch::text is null or a.batch_key = :batch::text)
    group by a.id, a.bytes
) as card;

-- name: grid_by_batch()
-- As grid, the share saved in each batch; the worst first.
select batch_key, count(*) as photos,
       percentile_cont(0.5) within group (order by 1 - after::float8 / before) as median_reduction
from (
    select a.batch_key, a.bytes as before, min(v.bytes) as after
    from core.media_assets a
    join core.media_asset_variants v
        on v.media_asset_id = a.id and v.variant_key = 'card' and v.superseded_at is null
    group by a.id
) as card
group by batch_key
order by median_reduction, batch_key;

-- name: live_lag()^
select coalesce(extract(epoch from now() - min(since)), 0)::float8 as seconds, count(distinct media_asset_id) as photos
from core.live_work;

-- name: batch_photos(batch)^
select count(*) as photos,
       count(*) filter (where state = 'pending') as pending,
       count(*) filter (where state = 'mirrored') as mirrored,
       count(*) filter (where state = 'failed') as failed,
       coalesce(sum(bytes), 0)::bigint as bytes
from core.media_assets where batch_key = :batch;

-- name: batch_progress(batches)^
-- Photos of these batches by how far they are: nothing open is the end.
select count(*) as photos,
       count(*) filter (where not is_open) as ended,
       count(*) filter (where has_original) as originals
from (
    select a.id, a.hosted_key is not null as has_original, bool_or(g.state = 'pending') as is_open
    from core.media_assets a
    join core.variant_generations g on g.media_asset_id = a.id
    where a.batch_key = any(:batches)
    group by a.id
) as photo;

-- name: batch_generations(batch, kind)^
select count(*) filter (where g.state = 'pending') as pending,
       count(*) filter (where g.state = 'complete') as complete,
       count(*) filter (where g.state = 'failed') as failed
from core.variant_generations g
join core.media_assets a on a.id = g.media_asset_id
where (:batch::text is null or a.batch_key = :batch::text) and g.kind = :kind;

-- name: batch_payloads(batch)
-- Size of what is delivered, by rendition key: the smallest format counts, browsers take that one.
select variant_key, count(*) as photos, sum(bytes)::bigint as bytes,
       percentile_disc(0.5) within group (order by bytes)::bigint as p50,
       percentile_disc(0.95) within group (order by bytes)::bigint as p95
from (
    select v.media_asset_id, v.variant_key, min(v.bytes) as bytes
    from core.media_asset_variants v
    join core.media_assets a on a.id = v.media_asset_id
    where a.batch_key = :batch and v.superseded_at is null
    group by v.media_asset_id, v.variant_key
) as delivered
group by variant_key
order by variant_key;

-- name: batch_variants(batch, is_crop)^
select count(*) as rows, coalesce(sum(v.bytes), 0)::bigint as bytes
from core.media_asset_variants v
join core.media_assets a on a.id = v.media_asset_id
where (:batch::text is null or a.batch_key = :batch::text) and v.superseded_at is null
  and (:is_crop::boolean is null or (v.crop_signature <> '') = :is_crop::boolean);

-- name: batch_worst(batch, limit)
-- Photos whose card saves least; `card_key` is the object that browsers get.
select a.id, a.source_url, a.hosted_url, a.hosted_key, a.bytes as before, min(v.bytes) as after,
       1 - min(v.bytes)::float8 / a.bytes as reduction,
       (array_agg(v.hosted_key order by v.bytes, v.format))[1] as card_key
from core.media_assets a
join core.media_asset_variants v on v.media_asset_id = a.id and v.variant_key = 'card' and v.superseded_at is null
where a.batch_key = :batch
group by a.id
order by reduction, a.id
limit :limit;

-- name: batch_crops(batch)
select c.crop_mode, c.reason, count(*) as photos
from core.media_asset_crops c
join core.media_assets a on a.id = c.media_asset_id
where a.batch_key = :batch and c.is_active
group by c.crop_mode, c.reason
order by photos desc, c.crop_mode, c.reason;

-- name: batch_thumbs(batch, variant_key, limit)
select distinct on (v.media_asset_id) v.media_asset_id, v.hosted_key
from core.media_asset_variants v
join core.media_assets a on a.id = v.media_asset_id
where a.batch_key = :batch and v.variant_key = :variant_key and v.superseded_at is null
order by v.media_asset_id, v.bytes
limit :limit;

-- name: batch_galleries(batch, limit)
-- Galleries that photos of a batch are in; those of seasons count for their show.
select entity_kind, slug, name, count(distinct media_asset_id) as photos
from (
    select l.media_asset_id, 'show' as entity_kind, s.id, s.title as name
    from core.media_assets a
    join core.media_links l on l.media_asset_id = a.id
    left join core.seasons season on season.id = l.season_id
    join core.shows s on s.id = coalesce(l.show_id, season.show_id)
    where a.batch_key = :batch
    union all
    select l.media_asset_id, 'person', p.id, p.full_name
    from core.media_assets a
    join core.media_links l on l.media_asset_id = a.id
    join core.people p on p.id = l.person_id
    where a.batch_key = :batch
) as linked
join core.slugs using (entity_kind)
where slugs.entity_id = linked.id and slugs.is_current
group by entity_kind, slug, name
order by photos desc, entity_kind, slug
limit :limit;

-- name: batches_of_photos(photo_ids)
select distinct batch_key from core.media_assets where id = any(:photo_ids) order by batch_key;

-- name: hosted_objects(bucket)
-- Every object that a row stands for, in the order in which stores list keys; `is_served` is false for retired ones.
select hosted_key, bool_or(is_served) as is_served
from (
    select hosted_key, true as is_served from core.media_asset_versions where hosted_bucket = :bucket
    union all
    select hosted_key, true from core.media_asset_variants where hosted_bucket = :bucket
    union all
    select hosted_key, false from core.retired_objects where hosted_bucket = :bucket
) as object
group by hosted_key
order by hosted_key collate "C";

-- name: rows_of_objects(hosted_keys)
-- The rows that stand for these objects now.
select hosted_key, true as is_served from core.media_asset_versions where hosted_key = any(:hosted_keys)
union all
select hosted_key, true from core.media_asset_variants where hosted_key = any(:hosted_keys)
union all
select hosted_key, false from core.retired_objects where hosted_key = any(:hosted_keys);

-- name: batch_objects(batch, kind)
-- Objects of a batch as the rows describe them.
select a.id as media_asset_id, a.batch_key, a.hosted_key, a.bytes, a.sha256
from core.media_assets a
where :kind = 'original' and a.batch_key = :batch and a.hosted_key is not null
union all
select v.media_asset_id, a.batch_key, v.hosted_key, v.bytes, v.sha256
from core.media_asset_variants v
join core.media_assets a on a.id = v.media_asset_id
where :kind <> 'original' and a.batch_key = :batch and v.superseded_at is null
  and (v.crop_signature <> '') = (:kind = 'crop')
order by 1, 3;

-- name: sampled_objects(photos, kind)
-- As batch_objects, of so many photos drawn at random from the whole archive: ids are random, so the next one after a
-- random id is a fair draw, and costs one look into the index. All photos where there are no more than that.
with few as (select id from core.media_assets limit :photos + 1),
drawn as (
    select id from few where (select count(*) from few) <= :photos
    union
    select photo.id
    from (select gen_random_uuid() as point from generate_series(1, :photos)) as random
    cross join lateral (select id from core.media_assets where id >= random.point order by id limit 1) as photo
    where (select count(*) from few) > :photos
)
select a.id as media_asset_id, a.batch_key, a.hosted_key, a.bytes, a.sha256
from drawn
join core.media_assets a on a.id = drawn.id
where :kind = 'original' and a.hosted_key is not null
union all
select v.media_asset_id, a.batch_key, v.hosted_key, v.bytes, v.sha256
from drawn
join core.media_assets a on a.id = drawn.id
join core.media_asset_variants v on v.media_asset_id = a.id
where :kind <> 'original' and v.superseded_at is null and (v.crop_signature <> '') = (:kind = 'crop')
order by 1, 3;

-- name: incomplete_sets(batch, is_crop, keys)
-- Photos whose ledger says complete while keys or formats of the set are missing, or one set mixes recipes, versions
-- or crops, or is not the set of the crop that the ledger calls served.
select g.media_asset_id, a.batch_key, count(v.id) as rows, count(distinct v.variant_key) as keys,
       count(distinct (v.recipe, v.source_version, v.crop_signature)) as sets
from core.variant_generations g
join core.media_assets a on a.id = g.media_asset_id
left join core.media_asset_variants v
    on v.media_asset_id = g.media_asset_id and v.superseded_at is null and (v.crop_signature <> '') = :is_crop
where (:batch::text is null or a.batch_key = :batch::text)
  and g.kind = case when :is_crop then 'crop' else 'base' end and g.state = 'complete'
group by g.media_asset_id, g.served, a.batch_key
having count(distinct v.variant_key) <> :keys
    or count(v.id) <> count(distinct v.variant_key) * count(distinct v.format)
    or count(distinct (v.recipe, v.source_version, v.crop_signature)) <> 1
    or (:is_crop and min(v.crop_signature) <> g.served)
order by g.media_asset_id;

-- name: crops_not_rendered(batch)
-- Photos whose active crop is not the one that is served although nothing is open or failed.
select c.media_asset_id, a.batch_key, c.crop_signature, g.served
from core.media_asset_crops c
join core.media_assets a on a.id = c.media_asset_id
join core.variant_generations g on g.media_asset_id = c.media_asset_id and g.kind = 'crop'
where (:batch::text is null or a.batch_key = :batch::text)
  and c.is_active and g.state = 'complete' and g.served <> c.crop_signature
order by c.media_asset_id;

-- name: upscaled(batch)
-- Variants wider or higher than what they were made from (by the pixel that rounding may add to a crop): the photo, or
-- the 4:5 frame of its crop.
select v.media_asset_id, a.batch_key, v.variant_key, v.format, v.width, v.height,
       a.width as source_width, a.height as source_height
from core.media_asset_variants v
join core.media_assets a on a.id = v.media_asset_id
where (:batch::text is null or a.batch_key = :batch::text) and v.superseded_at is null
  and (v.width > a.width or v.height > a.height + 1
       or (v.crop_signature <> '' and v.width > greatest(1, least(a.width, a.height * 0.8) / v.crop_zoom)))
order by v.media_asset_id, v.variant_key;

-- name: count_not_current(batch, kind, recipe)$
-- Photos of a batch that keep one of its sets from being complete at the recipe.
select count(*)
from core.variant_generations g
join core.media_assets a on a.id = g.media_asset_id
where a.batch_key = :batch and g.kind = :kind
  and (g.state = 'pending' or (g.state = 'complete' and g.recipe <> :recipe));

-- name: count_links()$
select count(*) from core.media_links;

-- name: batch_corrections(batch)^
-- Edits by people, photos that ever had a proposal, and those of them that somebody corrected.
select count(*) filter (where c.crop_mode = 'manual') as edits,
       count(distinct c.crop_signature) as signatures,
       count(distinct c.media_asset_id) filter (where c.crop_mode = 'auto') as proposed,
       count(distinct c.media_asset_id) filter (
           where c.crop_mode = 'manual' and exists (
               select from core.media_asset_crops proposal
               where proposal.media_asset_id = c.media_asset_id and proposal.crop_mode = 'auto' and proposal.id < c.id)
       ) as proposals_corrected
from core.media_asset_crops c
join core.media_assets a on a.id = c.media_asset_id
where a.batch_key = :batch;
