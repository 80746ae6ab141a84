-- name: queue()
-- Work that has not ended well, by kind: open, leased by a run, waiting for its next attempt, parked. The two states are
-- listed, because each has an index; with `<> 'complete'` the whole ledger would be read.
select kind,
       count(*) filter (where state = 'pending' and (lease_until is null or lease_until < now())) as waiting,
       count(*) filter (where state = 'pending' and lease_until >= now()) as running,
       count(*) filter (where next_attempt_at is not null) as retrying,
       count(*) filter (where state = 'failed' and next_attempt_at is null) as ended_failed,
       count(*) filter (where asked_at is not null and state = 'pending') as asked_again
from core.variant_generations
where state = 'pending' or state = 'failed'
group by kind
order by array_position(array['original', 'base', 'crop'], kind);

-- name: failures(limit)
-- Failed photos by source and reason, the most frequent first; each photo counts once, with its earliest failed step.
select source, reason, count(*) as photos
from (
    select distinct on (g.media_asset_id) a.source, g.reason
    from core.variant_generations g
    join core.media_assets a on a.id = g.media_asset_id
    where g.state = 'failed'
    order by g.media_asset_id, array_position(array['original', 'base', 'crop'], g.kind)
) as failed
group by source, reason
order by photos desc, source, reason
limit :limit;

-- name: saved_by_day(cards)
-- Bytes of one view of every card, by the day that it was made: the original before, the smallest card after. Only the
-- newest :cards rows are read, so that the cost does not grow with the archive.
select day, count(*) as photos, sum(before)::bigint as bytes_before, sum(after)::bigint as bytes_after
from (
    select a.bytes as before, min(card.bytes) as after, min(card.created_at)::date as day
    from (
        select media_asset_id, bytes, created_at from core.media_asset_variants
        where variant_key = 'card' and superseded_at is null
        order by id desc
        limit :cards
    ) as card
    join core.media_assets a on a.id = card.media_asset_id
    group by a.id, a.bytes
) as photo
group by day
order by day;
