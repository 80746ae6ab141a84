-- Where a query takes a batch, null means the whole archive.

-- name: batch_objects(batch, kind)
-- Objects of a batch, with the bytes and hash that their rows record.
select a.id as media_asset_id, a.batch_key, a.hosted_key, a.bytes, a.sha256,
       case when a.is_external then a.hosted_bucket else '' end as external_bucket
from core.media_assets a
where :kind = 'original' and a.batch_key = :batch and a.sha256 is not null
union all
select v.media_asset_id, a.batch_key, v.hosted_key, v.bytes, v.sha256, ''
from core.media_asset_variants v
join core.media_assets a on a.id = v.media_asset_id
where :kind <> 'original' and a.batch_key = :batch and v.superseded_at is null
  and (v.crop_signature <> '') = (:kind = 'crop')
order by 1, 3;

-- name: sampled_objects(photos, kind)
-- As `batch_objects`, of :photos photos drawn at random from the whole archive, or of all where it has no more. Ids are
-- random, so the next id after a random UUID is a fair draw, at the cost of one index lookup.
with few as (select id from core.media_assets limit :photos + 1),
drawn as (
    select id from few where (select count(*) from few) <= :photos
    union
    select photo.id
    from (select gen_random_uuid() as point from generate_series(1, :photos)) as random
    cross join lateral (select id from core.media_assets where id >= random.point order by id limit 1) as photo
    where (select count(*) from few) > :photos
)
select a.id as media_asset_id, a.batch_key, a.hosted_key, a.bytes, a.sha256,
       case when a.is_external then a.hosted_bucket else '' end as external_bucket
from drawn
join core.media_assets a on a.id = drawn.id
where :kind = 'original' and a.sha256 is not null
union all
select v.media_asset_id, a.batch_key, v.hosted_key, v.bytes, v.sha256, ''
from drawn
join core.media_assets a on a.id = drawn.id
join core.media_asset_variants v on v.media_asset_id = a.id
where :kind <> 'original' and v.superseded_at is null and (v.crop_signature <> '') = (:kind = 'crop')
order by 1, 3;

-- name: incomplete_sets(batch, is_crop, keys)
-- Photos that the ledger calls complete although keys or formats of a set are missing, or the set mixes recipes or
-- versions: the base set, or the sets of the crop that the ledger calls served and of the crops of links. A crop set that
-- is served although nothing wants it counts as one set too many.
with complete as (
    select g.media_asset_id, a.batch_key, g.served, a.proposes_crop
    from core.variant_generations g
    join core.media_assets a on a.id = g.media_asset_id
    where (:batch::text is null or a.batch_key = :batch::text)
      and g.kind = case when :is_crop then 'crop' else 'base' end and g.state = 'complete'
), wanted as (
    select media_asset_id, batch_key, served as crop_signature from complete
    where not :is_crop or served <> '' or proposes_crop
    union
    select c.media_asset_id, c.batch_key, l.crop_signature
    from complete c
    join core.media_links l on l.media_asset_id = c.media_asset_id and l.crop_signature is not null
    where :is_crop
)
select w.media_asset_id, w.batch_key, count(v.id) as rows, count(distinct v.variant_key) as keys,
       count(distinct (v.recipe, v.source_version)) as sets
from wanted w
left join core.media_asset_variants v
    on v.media_asset_id = w.media_asset_id and v.superseded_at is null and v.crop_signature = w.crop_signature
       and (v.crop_signature <> '') = :is_crop
group by w.media_asset_id, w.batch_key, w.crop_signature
having count(distinct v.variant_key) <> :keys
    or count(v.id) <> count(distinct v.variant_key) * count(distinct v.format)
    or count(distinct (v.recipe, v.source_version)) <> 1
union all
select c.media_asset_id, c.batch_key, count(*), count(distinct v.variant_key), 1 + count(distinct v.crop_signature)
from complete c
join core.media_asset_variants v
    on v.media_asset_id = c.media_asset_id and v.superseded_at is null and v.crop_signature <> ''
where :is_crop
  and not exists (select from core.crops_in_use used
                  where used.media_asset_id = v.media_asset_id and used.crop_signature = v.crop_signature)
group by c.media_asset_id, c.batch_key
order by media_asset_id;

-- name: crops_not_rendered(batch)
-- Photos whose active crop, or a crop of a link, is not the served one, although nothing is open or failed.
select c.media_asset_id, a.batch_key, c.crop_signature, g.served
from core.media_asset_crops c
join core.media_assets a on a.id = c.media_asset_id
join core.variant_generations g on g.media_asset_id = c.media_asset_id and g.kind = 'crop'
where (:batch::text is null or a.batch_key = :batch::text)
  and c.is_active and g.state = 'complete' and g.served <> c.crop_signature
union all
select l.media_asset_id, a.batch_key, l.crop_signature, coalesce(l.served_crop, '')
from core.media_links l
join core.media_assets a on a.id = l.media_asset_id
join core.variant_generations g on g.media_asset_id = l.media_asset_id and g.kind = 'crop'
where (:batch::text is null or a.batch_key = :batch::text)
  and l.crop_signature is not null and g.state = 'complete' and l.crop_signature is distinct from l.served_crop
order by media_asset_id;

-- name: upscaled(batch)
-- Variants wider or higher than their source: the photo, or the 4:5 frame of its crop (to which rounding may add a
-- pixel).
select v.media_asset_id, a.batch_key, v.variant_key, v.format, v.width, v.height,
       a.width as source_width, a.height as source_height
from core.media_asset_variants v
join core.media_assets a on a.id = v.media_asset_id
where (:batch::text is null or a.batch_key = :batch::text) and v.superseded_at is null
  and (v.width > a.width or v.height > a.height + 1
       or (v.crop_signature <> '' and v.width > greatest(1, least(a.width, a.height * 0.8) / v.crop_zoom)))
order by v.media_asset_id, v.variant_key;

-- name: grid_by_batch()
-- As `grid`, the share saved in each batch; the worst first.
select batch_key, count(*) as photos,
       percentile_cont(0.5) within group (order by 1 - after::float8 / before) as median_reduction
from (
    select a.batch_key, a.bytes as before, min(v.bytes) as after
    from core.media_assets a
    join core.media_asset_variants v
        on v.media_asset_id = a.id and v.variant_key = 'card' and v.superseded_at is null
    where a.bytes > 0
    group by a.id
) as card
group by batch_key
order by median_reduction, batch_key;
