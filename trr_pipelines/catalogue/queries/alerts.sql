-- Conditions ----------------------------------------------------------------------------------------------------------

-- name: parked_lately(hours)
-- Photos that ended as failed within the last hours, by reason, the most frequent first; each photo counts once.
select reason, count(*) as photos
from (
    select distinct on (media_asset_id) reason
    from core.variant_generations
    where state = 'failed' and next_attempt_at is null and updated_at > now() - make_interval(hours => :hours)
    order by media_asset_id, array_position(array['original', 'base', 'crop'], kind)
) as parked
group by reason
order by photos desc, reason;

-- name: failed_lately(reasons, minutes)
-- Photos whose last attempt failed for one of these reasons within the last minutes, by reason; each photo counts once.
select reason, count(*) as photos
from (
    select distinct on (media_asset_id) reason
    from core.variant_generations
    where state = 'failed' and reason = any(:reasons) and updated_at > now() - make_interval(mins => :minutes)
    order by media_asset_id, updated_at desc
) as failed
group by reason
order by photos desc, reason;

-- name: sample_disks(samples, minutes)
-- Add these samples, and return the oldest of the last minutes for each disk; older ones are deleted.
with old as (delete from core.disk_samples where sampled_at < now() - make_interval(mins => :minutes)),
sample as (
    select * from jsonb_to_recordset(:samples::jsonb) as sample (disk text, free_bytes bigint, free_inodes bigint)
),
added as (
    insert into core.disk_samples (disk, free_bytes, free_inodes) select disk, free_bytes, free_inodes from sample
    on conflict on constraint disk_samples_pkey do nothing
)
select distinct on (s.disk) s.disk, s.free_bytes, s.free_inodes,
       extract(epoch from now() - s.sampled_at)::float8 as seconds_ago
from core.disk_samples s join sample on sample.disk = s.disk
where s.sampled_at >= now() - make_interval(mins => :minutes)
order by s.disk, s.sampled_at;

-- name: undelivered(attempts, days)^
-- Messages that the webhook refused :attempts times in a row or more, and the error of the last.
select count(*) as messages, (array_agg(problem order by tried_at desc))[1] as problem
from core.alerts
where told is distinct from 'ended' and attempts >= :attempts
  and (resolved_at is null or resolved_at > now() - make_interval(days => :days));

-- name: record_check(watcher)!
insert into core.watches (watcher) values (:watcher)
on conflict on constraint watches_pkey do update set looked_at = now();

-- name: watch(watcher)^
select extract(epoch from now() - looked_at)::float8 as seconds, first_at from core.watches where watcher = :watcher;

-- Alerts --------------------------------------------------------------------------------------------------------------

-- name: raise_alert(kind, text, figures)^
-- Open a condition, or record that it still holds; `is_new` says which.
insert into core.alerts (kind, text, figures) values (:kind, :text, :figures)
on conflict (kind, subject) where resolved_at is null
    do update set text = excluded.text, figures = excluded.figures, seen_at = now()
returning id, xmax = 0 as is_new;

-- name: resolve(kinds, calm_seconds)
-- End conditions that were checked and not found for :calm_seconds: a value that wavers around its threshold is one alert.
update core.alerts set resolved_at = seen_at
where resolved_at is null and kind = any(:kinds) and seen_at < now() - make_interval(secs => :calm_seconds)
returning kind, text;

-- name: add_failed_run(run_id, text, figures)$
-- Null when this run was recorded before.
insert into core.alerts (kind, subject, text, figures, resolved_at)
values ('run_failed', :run_id, :text, :figures, now())
on conflict (subject) where kind = 'run_failed' do nothing
returning id;

-- name: known_runs(run_ids)
select subject from core.alerts where kind = 'run_failed' and subject = any(:run_ids);

-- name: open_alerts()
select kind, text, figures, opened_at, seen_at from core.alerts where resolved_at is null order by opened_at, id;

-- name: prune(days)!
delete from core.alerts where resolved_at < now() - make_interval(days => :days);

-- Messages ------------------------------------------------------------------------------------------------------------

-- name: due(days, limit)
-- Alerts whose opening or end the webhook has not acknowledged, the oldest first. After a failure the next attempt waits
-- 30 s, 1, 2, 4, 8 minutes, then 10 each time.
select id from core.alerts
where told is distinct from 'ended' and (told is null or resolved_at is not null) and kind <> 'alerts_undelivered'
  and (resolved_at is null or resolved_at > now() - make_interval(days => :days))
  and (tried_at is null or tried_at < now() - least(interval '10 minutes', interval '15 seconds' * power(2, least(attempts, 9))))
order by id
limit :limit;

-- name: hold(alert_id)^
-- Lock an alert while its message is sent. No row when another process holds it, or has sent the message.
select id, kind, subject, text, figures, opened_at, resolved_at, attempts
from core.alerts
where id = :alert_id and told is distinct from 'ended' and (told is null or resolved_at is not null)
for update skip locked;

-- name: acknowledged(state, alert_id)!
update core.alerts set told = :state, told_at = now(), tried_at = null, attempts = 0, problem = null
where id = :alert_id;

-- name: refused(problem, alert_id)!
update core.alerts set tried_at = now(), attempts = attempts + 1, problem = :problem where id = :alert_id;
