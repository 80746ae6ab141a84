-- Open work is defined by `core.is_open`: pending, waiting for its next attempt, never begun (a batch of the lane
-- `backfill`), or complete at another recipe. Work that ended as failed is not open.

-- name: lock_backfills()$
select true from (select pg_advisory_xact_lock(hashtextextended('backfills', 0))) as locked;

-- name: sources()
select distinct source from core.import_batches order by source;

-- name: plan(source, base_recipe, crop_recipe)
-- Batches with open photos, and what they lack; `views` and `links` are means over the photos, each with its hottest gallery.
with open_photo as (
    select a.id, a.batch_key, a.bytes,
           bool_or(g.kind is distinct from 'crop') as lacks_base, bool_or(g.kind is distinct from 'base') as lacks_crop
    from core.import_batches b
    join core.media_assets a on a.batch_key = b.key
    left join core.variant_generations g on g.media_asset_id = a.id
    where (:source::text is null or b.source = :source::text)
      and core.is_open(a.state, g.kind, g.state, g.next_attempt_at, g.recipe, :base_recipe, :crop_recipe)
    group by a.id
), heat as (
    select l.media_asset_id, max(array[gallery.views, gallery.links]) as of_hottest
    from core.media_links l join core.v_gallery_heat gallery using (entity_id)
    group by l.media_asset_id
)
select b.key, b.source, b.day, b.number, taken.backfill_id as taken_by,
       count(*)::integer as photos,
       coalesce(sum(o.bytes), 0)::bigint as bytes,
       count(*) filter (where o.bytes is null)::integer as unfetched,
       count(*) filter (where o.lacks_base)::integer as base_sets,
       count(*) filter (where o.lacks_crop)::integer as crop_sets,
       coalesce(avg(heat.of_hottest[1]), 0)::double precision as views,
       coalesce(avg(heat.of_hottest[2]), 0)::double precision as links
from open_photo o
join core.import_batches b on b.key = o.batch_key
left join heat on heat.media_asset_id = o.id
left join core.backfill_batches taken on taken.batch_key = b.key and taken.state in ('waiting', 'fed')
group by b.key, taken.backfill_id;

-- name: top_galleries(limit)
-- The hottest galleries.
select entity_id from core.v_gallery_heat order by views desc, links desc, entity_id limit :limit;

-- name: add_backfill(ordering, source, galleries, photos, bytes, planned_seconds, author)$
insert into core.backfills (ordering, source, galleries, photos, bytes, planned_seconds, author)
values (:ordering, :source, :galleries, :photos, :bytes, :planned_seconds, :author)
returning id;

-- name: add_batches(backfill_id, keys, photos)!
insert into core.backfill_batches (backfill_id, position, batch_key, photos)
select :backfill_id, item.position, item.batch_key, item.photos
from unnest(:keys::text[], :photos::integer[]) with ordinality as item (batch_key, photos, position);

-- name: set_gallery_photos(gallery_photos, backfill_id)!
update core.backfills set gallery_photos = :gallery_photos where id = :backfill_id;

-- name: backfill(idle_seconds, backfill_id)^
select id, state, ordering, source, galleries, gallery_photos, photos, bytes, planned_seconds, active_seconds,
       coalesce(ticked_at > now() - make_interval(secs => :idle_seconds), false) as is_fed,
       author, created_at, ended_at
from core.backfills where id = :backfill_id;

-- name: newest()$
select max(id) from core.backfills;

-- name: active()
select id, state from core.backfills where state in ('running', 'paused') order by id;

-- name: states(backfill_ids)
select id, state from core.backfills where id = any(:backfill_ids);

-- name: set_state(state, backfill_id, expected)$
update core.backfills
set state = :state, ticked_at = null, ended_at = case when :state in ('complete', 'cancelled') then now() end
where id = :backfill_id and state = any(:expected)
returning true;

-- name: drop_batches(backfill_id)!
update core.backfill_batches set state = 'dropped' where backfill_id = :backfill_id and state in ('waiting', 'fed');

-- name: tick(idle_seconds, backfill_id)!
-- The time since the last tick counts as active, unless it is longer than :idle_seconds (the daemon was down).
update core.backfills
set ticked_at = now(), active_seconds = active_seconds
    + case when now() - ticked_at < make_interval(secs => :idle_seconds)
           then extract(epoch from now() - ticked_at) else 0 end
where id = :backfill_id;

-- name: rest(backfill_id)!
update core.backfills set ticked_at = null where id = :backfill_id and ticked_at is not null;

-- name: fed(backfill_id)
select batch_key from core.backfill_batches where backfill_id = :backfill_id and state = 'fed' order by position;

-- name: next_waiting(backfill_id, limit)
select batch_key from core.backfill_batches
where backfill_id = :backfill_id and state = 'waiting' and (not_before is null or not_before <= now())
order by position
limit :limit;

-- name: batch_work(keys, base_recipe, crop_recipe)
-- By batch: open photos, those of them that are due, whether a run holds it, its failed runs in a row, and its backoff.
select b.key, open.open, open.due, open.next_attempt_at,
       coalesce(d.lease_until > now(), false) as is_held, coalesce(d.failures, 0) as failures,
       case when d.not_before > now() then d.not_before end as not_before
from unnest(:keys::text[]) as b (key)
cross join lateral (
    select count(distinct a.id)::integer as open,
           count(distinct a.id) filter (
               where g.next_attempt_at is null or g.next_attempt_at <= now())::integer as due,
           min(g.next_attempt_at) as next_attempt_at
    from core.media_assets a
    left join core.variant_generations g on g.media_asset_id = a.id
    where a.batch_key = b.key
      and core.is_open(a.state, g.kind, g.state, g.next_attempt_at, g.recipe, :base_recipe, :crop_recipe)
) as open
left join core.dispatches d on d.scope = 'batch:' || b.key;

-- name: settle_batch(state, photos, not_before, backfill_id, key)!
update core.backfill_batches set state = :state, photos = :photos, not_before = :not_before
where backfill_id = :backfill_id and batch_key = :key and state in ('waiting', 'fed');

-- name: batches_left(backfill_id)$
select exists (select from core.backfill_batches where backfill_id = :backfill_id and state in ('waiting', 'fed'));

-- name: gallery_work(backfill_id, base_recipe, crop_recipe, limit)
-- Photos with due work in the galleries that come first, of batches of this backfill.
select a.id, bool_or(coalesce(g.lease_until > now(), false)) as is_held
from core.backfills f
join core.media_links l on l.entity_id = any(f.galleries)
join core.media_assets a on a.id = l.media_asset_id
join core.backfill_batches i on i.backfill_id = f.id and i.batch_key = a.batch_key and i.state in ('waiting', 'fed')
left join core.variant_generations g on g.media_asset_id = a.id
where f.id = :backfill_id
  and core.is_open(a.state, g.kind, g.state, g.next_attempt_at, g.recipe, :base_recipe, :crop_recipe)
  and (g.next_attempt_at is null or g.next_attempt_at <= now())
group by a.id
order by min(array_position(f.galleries, l.entity_id)), a.id
limit :limit;

-- name: close_galleries(backfill_id)!
update core.backfills set galleries = '{}' where id = :backfill_id;

-- name: recount_waiting(backfill_id, base_recipe, crop_recipe)!
-- Open photos of the waiting batches, after the galleries are done.
update core.backfill_batches i set photos = (
    select count(distinct a.id)
    from core.media_assets a
    left join core.variant_generations g on g.media_asset_id = a.id
    where a.batch_key = i.batch_key
      and core.is_open(a.state, g.kind, g.state, g.next_attempt_at, g.recipe, :base_recipe, :crop_recipe))
where i.backfill_id = :backfill_id and i.state = 'waiting';

-- name: set_open_photos(photos, key)!
update core.backfill_batches set photos = :photos where batch_key = :key and state in ('waiting', 'fed');

-- name: batch_states(backfill_id)
select state, count(*)::integer as batches, coalesce(sum(photos), 0)::integer as photos
from core.backfill_batches where backfill_id = :backfill_id group by state;

-- name: withdraw(keys)!
-- Withdraw a request. The next request of the scope needs another key, because Dagster drops a run_key that it has seen.
update core.dispatches set epoch = epoch + 1, requested_at = null
where scope = any(:keys) and requested_at is not null and (lease_until is null or lease_until < now());
