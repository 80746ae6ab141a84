-- Where a query takes a batch, null means the whole archive.

-- name: oversized(batch, max_bytes, max_pixels, max_side)
-- Originals above the guardrails, the largest first.
select a.id as media_asset_id, a.batch_key, a.source, a.source_url, a.bytes, a.width, a.height
from core.media_assets a
where (:batch::text is null or a.batch_key = :batch::text)
  and (a.bytes > :max_bytes or a.width::bigint * a.height > :max_pixels or greatest(a.width, a.height) > :max_side)
order by a.bytes desc, a.id;

-- name: sources(batch, max_bytes, max_pixels, max_side)
-- By source: originals, originals above the guardrails, and failed photos. A photo counts as tried once its original was
-- mirrored or failed, in whatever state its variants are; `reason` is the most frequent failure.
select source, count(*) as photos, count(bytes) as originals,
       coalesce(sum(bytes), 0)::bigint as bytes,
       coalesce(percentile_disc(0.5) within group (order by bytes), 0)::bigint as median_bytes,
       coalesce(max(bytes), 0)::bigint as largest_bytes,
       coalesce(max(pixels), 0)::bigint as most_pixels,
       count(*) filter (where bytes > :max_bytes or pixels > :max_pixels or side > :max_side) as oversized,
       count(*) filter (where is_failed or state <> 'pending') as tried,
       count(*) filter (where is_failed) as failed,
       mode() within group (order by reason) as reason
from (
    select a.source, a.state, a.bytes, a.width::bigint * a.height as pixels, greatest(a.width, a.height) as side,
           count(g.kind) > 0 as is_failed, min(g.reason) as reason
    from core.media_assets a
    left join core.variant_generations g on g.media_asset_id = a.id and g.state = 'failed'
    where (:batch::text is null or a.batch_key = :batch::text)
    group by a.id
) as photo
group by source
order by source;

-- name: waiting(seconds)
-- Live work by kind and batch: open, open for longer than :seconds, and the photo that has waited longest.
select kind, batch_key, count(*) as open,
       count(*) filter (where since < now() - make_interval(secs => :seconds)) as overdue,
       extract(epoch from now() - min(since))::float8 as oldest_seconds,
       (array_agg(media_asset_id order by since, media_asset_id))[1] as media_asset_id
from core.live_work
group by kind, batch_key
order by oldest_seconds desc, kind, batch_key;

-- name: failing_batches(limit)
-- Batches by their number of failed photos.
select a.batch_key, count(distinct a.id) as failed, mode() within group (order by g.reason) as reason
from core.variant_generations g
join core.media_assets a on a.id = g.media_asset_id
where g.state = 'failed'
group by a.batch_key
order by failed desc, a.batch_key
limit :limit;
