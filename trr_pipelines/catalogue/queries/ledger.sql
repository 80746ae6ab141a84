-- Scopes: a batch (:batch) or listed photos (:photo_ids); the other is null.

-- name: claim(batch, photo_ids, kinds, propose_crops, limit, run_id, lease_seconds)
-- Lease the due, free work of the given kinds on up to :limit photos. Sets wait for an original that is fetched again.
-- The photo's row is locked meanwhile, so two runs never lease parts of one photo.
with photo as (
    select a.id, a.proposes_crop
    from core.media_assets a
    where (:batch::text is null or a.batch_key = :batch::text)
      and (:photo_ids::uuid[] is null or a.id = any(:photo_ids::uuid[]))
      and exists (
          select from core.variant_generations g
          where g.media_asset_id = a.id and g.kind = any(:kinds)
            and (g.state = 'pending' or (g.state = 'failed' and g.next_attempt_at <= now()))
            and (g.kind <> 'crop' or g.wanted <> '' or :propose_crops or not a.proposes_crop)
            and not (g.kind <> 'original' and exists (
                select from core.variant_generations o
                where o.media_asset_id = a.id and o.kind = 'original' and o.state = 'pending' and o.asked_at is not null))
            and (g.lease_until is null or g.lease_until < now())
      )
    order by a.id
    limit :limit
    for no key update of a skip locked
)
update core.variant_generations g
set state = 'pending', reason = null, detail = null, next_attempt_at = null,
    run_id = :run_id, lease_until = now() + make_interval(secs => :lease_seconds), updated_at = now()
from photo
where g.media_asset_id = photo.id and g.kind = any(:kinds)
  and (g.state = 'pending' or (g.state = 'failed' and g.next_attempt_at <= now()))
  and (g.kind <> 'crop' or g.wanted <> '' or :propose_crops or not photo.proposes_crop)
  and not (g.kind <> 'original' and exists (
      select from core.variant_generations o
      where o.media_asset_id = g.media_asset_id and o.kind = 'original' and o.state = 'pending' and o.asked_at is not null))
  and (g.lease_until is null or g.lease_until < now())
returning g.media_asset_id, g.kind, g.version, g.wanted, g.asked_at is not null or g.attempts > 0 as is_asked;

-- name: count_open(batch, photo_ids, kinds, propose_crops)$
-- Photos of the scope with pending work, leased or not. Work that waits for a later attempt does not count.
select count(distinct g.media_asset_id)
from core.variant_generations g
join core.media_assets a on a.id = g.media_asset_id
where (:batch::text is null or a.batch_key = :batch::text)
  and (:photo_ids::uuid[] is null or a.id = any(:photo_ids::uuid[]))
  and g.kind = any(:kinds) and g.state = 'pending'
  and (g.kind <> 'crop' or g.wanted <> '' or :propose_crops or not a.proposes_crop)
  and not (g.kind <> 'original' and exists (
      select from core.variant_generations o
      where o.media_asset_id = g.media_asset_id and o.kind = 'original' and o.state = 'pending' and o.asked_at is not null));

-- name: renew(lease_seconds, photo_ids, run_id)!
update core.variant_generations
set lease_until = now() + make_interval(secs => :lease_seconds)
where media_asset_id = any(:photo_ids) and run_id = :run_id and state = 'pending' and lease_until is not null;

-- name: release(run_id)!
update core.variant_generations set lease_until = null
where run_id = :run_id and state = 'pending' and lease_until is not null;

-- name: release_photo(photo_id, run_id)!
update core.variant_generations set lease_until = null
where media_asset_id = :photo_id and run_id = :run_id and state = 'pending' and lease_until is not null;

-- name: reopen_outdated(batch, photo_ids, kind, recipe)!
-- Make complete sets of another recipe pending. Only runs do this, never sensors.
update core.variant_generations g
set state = 'pending', version = g.version + 1, lease_until = null, updated_at = now()
from core.media_assets a
where a.id = g.media_asset_id
  and (:batch::text is null or a.batch_key = :batch::text)
  and (:photo_ids::uuid[] is null or a.id = any(:photo_ids::uuid[]))
  and g.kind = :kind and g.state = 'complete' and g.recipe <> :recipe;

-- name: open_originals(batch, photo_ids)!
insert into core.variant_generations (media_asset_id, kind)
select a.id, 'original' from core.media_assets a
where (:batch::text is null or a.batch_key = :batch::text)
  and (:photo_ids::uuid[] is null or a.id = any(:photo_ids::uuid[]))
  and a.state = 'pending'
on conflict on constraint variant_generations_pkey do nothing;

-- name: open_derivatives(photo_id)!
insert into core.variant_generations (media_asset_id, kind) values (:photo_id, 'base'), (:photo_id, 'crop')
on conflict on constraint variant_generations_pkey do nothing;

-- name: reopen(photo_id, kind)!
-- Make a kind of work pending in whatever state it is; the new version makes a render under way stale.
insert into core.variant_generations (media_asset_id, kind) values (:photo_id, :kind)
on conflict on constraint variant_generations_pkey do update
    set state = 'pending', version = variant_generations.version + 1, lease_until = null, run_id = null,
        asked_at = null, attempts = 0, reason = null, detail = null, next_attempt_at = null, updated_at = now();

-- name: ask_for_derivatives(photo_id)!
-- Make sets that have failed or are open pending, for runs of listed photos; complete ones stay.
update core.variant_generations
set state = 'pending', version = version + 1, lease_until = null, run_id = null, attempts = 0,
    reason = null, detail = null, next_attempt_at = null, asked_at = now(), updated_at = now()
where media_asset_id = :photo_id and kind <> 'original' and state <> 'complete';

-- name: ask_for_original(photo_id)!
insert into core.variant_generations (media_asset_id, kind, asked_at) values (:photo_id, 'original', now())
on conflict on constraint variant_generations_pkey do update
    set state = 'pending', version = variant_generations.version + 1, lease_until = null, run_id = null, attempts = 0,
        reason = null, detail = null, next_attempt_at = null, asked_at = now(), updated_at = now()
    where variant_generations.state <> 'pending' or variant_generations.asked_at is null;

-- name: settle(photo_id, kind)!
-- Mark a kind of work complete, leased or not.
update core.variant_generations
set state = 'complete', version = version + 1, lease_until = null, run_id = null, asked_at = null,
    attempts = 0, reason = null, detail = null, next_attempt_at = null, updated_at = now()
where media_asset_id = :photo_id and kind = :kind;

-- name: complete(recipe, signature, photo_id, kind, version, run_id)$
-- Null when the result is stale: the photo was edited, or another run has claimed it.
update core.variant_generations
set state = 'complete', reason = null, detail = null, attempts = 0, next_attempt_at = null,
    lease_until = null, asked_at = null, recipe = :recipe, wanted = :signature, served = :signature, updated_at = now()
where media_asset_id = :photo_id and kind = :kind and version = :version and run_id = :run_id
  and state = 'pending'
returning true;

-- name: fail(reason, detail, retryable, is_attempt, max_attempts, retry_after, photo_id, kind, version, run_id)$
-- The backoff is four times longer after each attempt (30 s, 2, 8, 32 min); after :max_attempts the photo is parked. A
-- failure that is no attempt waits as long as its host requires.
update core.variant_generations
set state = 'failed', reason = :reason, detail = :detail, lease_until = null, asked_at = null,
    attempts = attempts + case when :is_attempt then 1 else 0 end,
    next_attempt_at = case
        when not :is_attempt then now() + make_interval(secs => :retry_after)
        when :retryable and attempts + 1 < :max_attempts
            then now() + greatest(make_interval(secs => :retry_after), interval '30 seconds' * power(4, attempts)) end,
    updated_at = now()
where media_asset_id = :photo_id and kind = :kind and version = :version and run_id = :run_id
  and state = 'pending'
returning true;

-- The queries of the sensors leave batches of a backfill to it, except for edited crops and photos to reprocess. Whether
-- any backfill is active is tested once, before photos are looked up one by one.

-- name: batches_with_work(max_failures, limit, asked)
-- Live batches whose photos wait for their original or their first variants, and that no run holds; :asked includes
-- photos to reprocess.
select open.batch_key
from (
    select distinct a.batch_key
    from core.variant_generations g
    join core.media_assets a on a.id = g.media_asset_id
    where g.state = 'pending' and g.kind in ('original', 'base') and (g.asked_at is null or :asked)
      and (g.lease_until is null or g.lease_until < now())
) as open
join core.import_batches b on b.key = open.batch_key and b.lane = 'live'
left join core.dispatches d on d.scope = 'batch:' || open.batch_key
where not exists (
      select from core.backfill_batches i where i.batch_key = open.batch_key and i.state in ('waiting', 'fed'))
  and (d.lease_until is null or d.lease_until < now())
  and (d.not_before is null or d.not_before <= now())
  and coalesce(d.failures, 0) < :max_failures
order by open.batch_key
limit :limit;

-- name: crops_with_work(limit)
-- Photos with a complete base set and a changed crop, of the photo or of a link. In work that a new recipe opened, what
-- is wanted is served.
select g.media_asset_id
from core.variant_generations g
join core.variant_generations base on base.media_asset_id = g.media_asset_id and base.kind = 'base'
where g.state = 'pending' and g.kind = 'crop' and base.state = 'complete'
  and (g.lease_until is null or g.lease_until < now())
  and (g.wanted <> g.served
       or not exists (select from core.backfill_batches where state in ('waiting', 'fed'))
       or not exists (
      select from core.media_assets a
      join core.backfill_batches i on i.batch_key = a.batch_key and i.state in ('waiting', 'fed')
      where a.id = g.media_asset_id)
       or core.has_edited_crop(g.media_asset_id, g.wanted, g.served))
order by g.updated_at
limit :limit;

-- name: retries_due(limit)
-- Photos whose next attempt is due, and photos to reprocess.
select media_asset_id, min(due) as due
from (
    select g.media_asset_id, g.next_attempt_at as due
    from core.variant_generations g
    where g.state = 'failed' and g.next_attempt_at <= now()
      and (not exists (select from core.backfill_batches where state in ('waiting', 'fed'))
           or not exists (
          select from core.media_assets a
          join core.backfill_batches i on i.batch_key = a.batch_key and i.state in ('waiting', 'fed')
          where a.id = g.media_asset_id))
    union all
    select media_asset_id, asked_at
    from core.variant_generations
    where state = 'pending' and asked_at is not null and (lease_until is null or lease_until < now())
) as open
group by media_asset_id
order by due
limit :limit;
