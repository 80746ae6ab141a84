-- Open work that somebody waits for, and since when; reading it costs what is open or due, not what exists.

-- Nobody waits for a backfill, but for edits of crops and what was asked for in one. A crop waits for its base set, which
-- counts by itself. Work is open since its next attempt was due, since somebody asked for it again, since the photo came
-- in, or, where the photo was served or changed before, since it was last touched.
create view core.live_work as
select g.media_asset_id, g.kind, a.batch_key,
       coalesce(
           g.next_attempt_at, g.asked_at, case when g.version = 1 and g.recipe = '' then a.created_at else g.updated_at end
       ) as since
from (
    select * from core.variant_generations where state = 'pending'
    union all
    select * from core.variant_generations where state = 'failed' and next_attempt_at <= now()
) as g
join core.media_assets a on a.id = g.media_asset_id
join core.import_batches b on b.key = a.batch_key
where (g.asked_at is not null or (g.kind = 'crop' and g.served <> '' and g.wanted <> g.served)
       or (b.lane = 'live' and not exists (
           select from core.backfill_batches i where i.batch_key = a.batch_key and i.state in ('waiting', 'fed'))))
  and (g.kind <> 'crop' or exists (
      select from core.variant_generations base
      where base.media_asset_id = g.media_asset_id and base.kind = 'base' and base.state = 'complete'));
