-- Where a query takes a batch, null means the whole archive.

-- name: failed_photos(batch)
-- Each failed photo once, with the reason of the earliest step that failed.
select distinct on (g.media_asset_id)
    g.media_asset_id, a.source, a.source_url, g.kind, g.reason, g.detail, g.attempts, g.next_attempt_at
from core.variant_generations g
join core.media_assets a on a.id = g.media_asset_id
where g.state = 'failed' and (:batch::text is null or a.batch_key = :batch::text)
order by g.media_asset_id, array_position(array['original', 'base', 'crop'], g.kind);

-- name: grid(batch)^
-- Bytes of a gallery grid: the original of each photo against its smallest card.
select count(*) as photos,
       coalesce(percentile_disc(0.5) within group (order by before), 0)::bigint as median_bytes_before,
       coalesce(percentile_disc(0.5) within group (order by after), 0)::bigint as median_bytes_after,
       coalesce(percentile_cont(0.5) within group (order by 1 - after::float8 / before), 0) as median_reduction
from (
    select a.bytes as before, min(v.bytes) as after
    from core.media_assets a
    join core.media_asset_variants v
        on v.media_asset_id = a.id and v.variant_key = 'card' and v.superseded_at is null
    where (:batch::text is null or a.batch_key = :batch::text) and a.bytes > 0
    group by a.id, a.bytes
) as card;

-- name: batch_photos(batch)^
select count(*) as photos,
       count(*) filter (where state = 'pending') as pending,
       count(*) filter (where state = 'mirrored') as mirrored,
       count(*) filter (where state = 'failed') as failed,
       coalesce(sum(bytes), 0)::bigint as bytes
from core.media_assets where batch_key = :batch;

-- name: batch_progress(batches)^
-- Progress of these batches: a photo has ended when none of its work is pending.
select count(*) as photos,
       count(*) filter (where not is_open) as ended,
       count(*) filter (where has_original) as originals
from (
    select a.id, a.sha256 is not null as has_original, bool_or(g.state = 'pending') as is_open
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
-- Bytes delivered, by rendition key: the smallest format counts, because browsers choose that one.
select variant_key, count(*) as photos, sum(bytes)::bigint as bytes,
       percentile_disc(0.5) within group (order by bytes)::bigint as p50,
       percentile_disc(0.95) within group (order by bytes)::bigint as p95
from (
    select v.media_asset_id, v.variant_key, min(v.bytes) as bytes
    from core.media_asset_variants v
    join core.media_assets a on a.id = v.media_asset_id
    where a.batch_key = :batch and v.superseded_at is null and v.format <> 'jpeg_on_white'
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

-- name: batch_least_saved(batch, limit)
-- Photos whose card saves least; `card_key` is the smallest card.
select a.id, a.source_url, a.hosted_url, a.hosted_key,
       case when a.is_external then a.hosted_bucket else '' end as external_bucket, a.bytes as before, min(v.bytes) as after,
       1 - min(v.bytes)::float8 / a.bytes as reduction,
       (array_agg(v.hosted_key order by v.bytes, v.format))[1] as card_key
from core.media_assets a
join core.media_asset_variants v on v.media_asset_id = a.id and v.variant_key = 'card' and v.superseded_at is null
                                and v.format <> 'jpeg_on_white'
where a.batch_key = :batch and a.bytes > 0
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

-- name: batch_corrections(batch)^
-- Edits by people, photos that ever had a proposal, and photos whose proposal was corrected.
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

-- name: batch_rendition_keys(batch, variant_key, limit)
select distinct on (v.media_asset_id) v.hosted_key
from core.media_asset_variants v
join core.media_assets a on a.id = v.media_asset_id
where a.batch_key = :batch and v.variant_key = :variant_key and v.superseded_at is null
order by v.media_asset_id, v.bytes
limit :limit;

-- name: batch_galleries(batch, limit)
-- Galleries that contain photos of a batch; a season counts for its show.
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

-- name: count_not_current(batch, kind, recipe)$
-- Photos of a batch whose set of this kind is open, or complete at another recipe.
select count(*)
from core.variant_generations g
join core.media_assets a on a.id = g.media_asset_id
where a.batch_key = :batch and g.kind = :kind
  and (g.state = 'pending' or (g.state = 'complete' and g.recipe <> :recipe));
