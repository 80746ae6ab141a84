-- What is allowed and yet not as it should be. Where a query takes a batch, null means the whole archive.

-- name: oversized(batch, max_bytes, max_pixels, max_side)
-- Originals above the guardrails, the largest first.
select a.id as media_asset_id, a.batch_key, a.source, a.source_url, a.bytes, a.width, a.height
from core.media_assets a
where (:batch::text is null or a.batch_key = :batch::text)
  and (a.bytes > :max_bytes or a.width::bigint * a.height > :max_pixels or greatest(a.width, a.height) > :max_side)
order by a.bytes desc, a.id;

-- name: sources(batch, max_bytes, max_pixels, max_side)
-- Each source in figures: its originals, those above the guardrails, and how its photos ended. A photo has ended when
-- it is failed, or nothing of it is open; `reason` is the most frequent one.
select source, count(*) as photos, count(bytes) as originals,
       coalesce(sum(bytes), 0)::bigint as bytes,
       coalesce(percentile_disc(0.5) within group (order by bytes), 0)::bigint as median_bytes,
       coalesce(max(bytes), 0)::bigint as largest_bytes,
       coalesce(max(pixels), 0)::bigint as most_pixels,
       count(*) filter (where bytes > :max_bytes or pixels > :max_pixels or side > :max_side) as oversized,
       count(*) filter (where is_failed or (not is_open and state = 'mirrored')) as ended,
       count(*) filter (where is_failed) as failed,
       mode() within group (order by reason) as reason
from (
    select a.source, a.state, a.bytes, a.width::bigint * a.height as pixels, greatest(a.width, a.height) as side,
           coalesce(bool_or(g.state = 'failed'), false) as is_failed, count(g.kind) > 0 as is_open, min(g.reason) as reason
    from core.media_assets a
    left join core.variant_generations g on g.media_asset_id = a.id and g.state <> 'complete'
    where (:batch::text is null or a.batch_key = :batch::text)
    group by a.id
) as photo
group by source
order by source;

-- name: waiting(seconds)
-- Live work that is open, by kind and batch: how much, how much for longer than so many seconds, and the oldest photo.
-- It is open since somebody asked for it again, since its next attempt was due, since the photo came in, or, where an
-- earlier set is served meanwhile, since it was last touched. Nobody waits for a backfill, but for edits and
-- what was asked for in one; a crop waits for its base set, which counts by itself.
select kind, batch_key, count(*) as open, count(*) filter (where age > :seconds) as overdue,
       max(age)::float8 as oldest_seconds, (array_agg(media_asset_id order by age desc, media_asset_id))[1] as media_asset_id
from (
    select g.kind, a.batch_key, g.media_asset_id,
           extract(epoch from now() - coalesce(
               g.next_attempt_at, g.asked_at, case g.recipe when '' then a.created_at else g.updated_at end)) as age
    from core.variant_generations g
    join core.media_assets a on a.id = g.media_asset_id
    join core.import_batches b on b.key = a.batch_key
    where (g.state = 'pending' or (g.state = 'failed' and g.next_attempt_at <= now()))
      and (g.asked_at is not null or (g.kind = 'crop' and g.wanted <> g.served)
           or (b.lane = 'live' and not exists (
               select from core.backfill_batches i where i.batch_key = b.key and i.state in ('waiting', 'fed'))))
      and (g.kind <> 'crop' or exists (
          select from core.variant_generations base
          where base.media_asset_id = g.media_asset_id and base.kind = 'base' and base.state = 'complete'))
) as open_work
group by kind, batch_key
order by oldest_seconds desc, kind, batch_key;

-- name: failing_batches(limit)
-- Batches by how many of their photos have failed.
select a.batch_key, a.source, count(distinct a.id) as failed, mode() within group (order by g.reason) as reason
from core.variant_generations g
join core.media_assets a on a.id = g.media_asset_id
where g.state = 'failed'
group by a.batch_key, a.source
order by failed desc, a.batch_key
limit :limit;
