-- name: request(scope, stale_seconds)^
-- The epoch of the run key. It stays the same until the run has claimed its work.
insert into core.dispatches (scope, requested_at) values (:scope, now())
on conflict on constraint dispatches_pkey
    do update set requested_at = coalesce(dispatches.requested_at, now())
returning epoch, requested_at < now() - make_interval(secs => :stale_seconds) as is_stale;

-- name: advance(scope, epoch)$
-- A request that never became a run is requested again, under a new key.
update core.dispatches set epoch = epoch + 1, requested_at = now() where scope = :scope and epoch = :epoch
returning epoch;

-- name: is_ready(max_failures, scope)$
select coalesce(
    (select (not_before is null or not_before <= now()) and failures < :max_failures
     from core.dispatches where scope = :scope), true);

-- name: is_free(scope)$
select coalesce((select lease_until is null or lease_until < now() from core.dispatches where scope = :scope), true);

-- name: claim(scope, lease_seconds, run_id)!
insert into core.dispatches (scope, epoch, lease_until, run_id)
values (:scope, 2, now() + make_interval(secs => :lease_seconds), :run_id)
on conflict on constraint dispatches_pkey do update
    set epoch = dispatches.epoch + 1, requested_at = null, run_id = excluded.run_id,
        lease_until = excluded.lease_until;

-- name: renew(lease_seconds, scope, run_id)!
update core.dispatches set lease_until = now() + make_interval(secs => :lease_seconds)
where scope = :scope and run_id = :run_id;

-- name: succeed(scope, run_id)!
update core.dispatches set lease_until = null, failures = 0, not_before = null
where scope = :scope and run_id = :run_id;

-- name: fail(scope, run_id, was_killed)$
-- Backoff as for photos, but at most 40 s after a run whose process was killed, which says little about the scope.
-- A scope whose runs failed too often is parked until it is unparked or run by hand. Returns the number of failures in a row.
update core.dispatches
set epoch = epoch + 1, requested_at = null, lease_until = null, failures = failures + 1,
    not_before = greatest(not_before, now() + interval '10 seconds' * power(4, least(failures, case when :was_killed then 1 else 5 end))),
    run_id = null
where scope = :scope and (run_id is null or run_id = :run_id or requested_at is not null)
returning failures;

-- name: parked(max_failures)
-- Scopes for which no more runs are requested, because too many failed in a row.
select scope from core.dispatches where failures >= :max_failures order by scope;

-- name: unpark(scopes)!
-- Request runs of these scopes again, at once.
update core.dispatches set failures = 0, not_before = null where scope = any(:scopes);

-- name: return_parked_batches(scopes)!
-- Batches that an active backfill skipped because they were parked wait for it again.
update core.backfill_batches i set state = 'waiting', not_before = null
from core.backfills f
where f.id = i.backfill_id and f.state in ('running', 'paused')
  and i.state = 'parked' and 'batch:' || i.batch_key = any(:scopes)
  and not exists (
      select from core.backfill_batches other
      where other.batch_key = i.batch_key and other.state in ('waiting', 'fed'));

-- name: hold(scope)!
-- No run is requested of the scope. Not infinity, which is no time in Python.
insert into core.dispatches (scope, not_before) values (:scope, '9000-01-01Z')
on conflict on constraint dispatches_pkey do update set not_before = excluded.not_before;

-- name: any_held()$
-- Whether a run holds any scope.
select exists (select from core.dispatches where lease_until > now());
