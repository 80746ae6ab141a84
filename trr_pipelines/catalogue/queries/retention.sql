-- name: list_superseded(bucket, grace_seconds)!
-- Crop sets that have not been served for the grace period, and that nobody wants back.
insert into core.removal_list (hosted_bucket, hosted_key, why, bytes)
select v.hosted_bucket, v.hosted_key, 'superseded', v.bytes
from core.media_asset_variants v
left join core.variant_generations g on g.media_asset_id = v.media_asset_id and g.kind = 'crop'
where v.superseded_at <= now() - make_interval(secs => :grace_seconds) and v.hosted_bucket = :bucket
  and v.crop_signature not in (coalesce(g.served, ''), coalesce(g.wanted, ''))
on conflict on constraint removal_list_pkey do nothing;

-- name: list_retired(bucket, grace_seconds)!
insert into core.removal_list (hosted_bucket, hosted_key, why, bytes)
select hosted_bucket, hosted_key, 'retired', bytes
from core.retired_objects
where retired_at <= now() - make_interval(secs => :grace_seconds) and hosted_bucket = :bucket
on conflict on constraint removal_list_pkey do nothing;

-- name: list_orphans(bucket, objects)!
-- Of these objects of the store, those that no row stands for.
insert into core.removal_list (hosted_bucket, hosted_key, why, bytes)
select :bucket, object.hosted_key, 'orphan', object.bytes
from jsonb_to_recordset(:objects::jsonb) as object (hosted_key text, bytes bigint)
where not exists (select from core.media_asset_versions a where a.hosted_key = object.hosted_key and a.hosted_bucket = :bucket)
  and not exists (select from core.media_asset_variants v where v.hosted_key = object.hosted_key)
  and not exists (select from core.retired_objects r
                  where r.hosted_bucket = :bucket and r.hosted_key = object.hosted_key)
on conflict on constraint removal_list_pkey do nothing;

-- name: unlist_wanted(bucket)!
-- What has come back into use since it was listed.
delete from core.removal_list l
where l.hosted_bucket = :bucket and (
    exists (select from core.media_asset_versions a where a.hosted_key = l.hosted_key and a.hosted_bucket = l.hosted_bucket)
    or exists (
        select from core.media_asset_variants v
        left join core.variant_generations g on g.media_asset_id = v.media_asset_id and g.kind = 'crop'
        where v.hosted_key = l.hosted_key
          and (v.superseded_at is null or v.crop_signature in (coalesce(g.served, ''), coalesce(g.wanted, '')))));

-- name: unlist_all(bucket)!
delete from core.removal_list where hosted_bucket = :bucket;

-- name: unlist(bucket, hosted_keys)!
delete from core.removal_list where hosted_bucket = :bucket and hosted_key = any(:hosted_keys);

-- name: listed(bucket)
select hosted_key, why, bytes, listed_at from core.removal_list where hosted_bucket = :bucket
order by listed_at, hosted_key;

-- name: listed_totals(bucket)
select why, count(*) as objects, coalesce(sum(bytes), 0)::bigint as bytes from core.removal_list
where hosted_bucket = :bucket group by why;

-- name: referenced(bucket)
-- Listed objects that something is served from, or is to be served from. There should be none.
select l.hosted_key, l.why from core.removal_list l
where l.hosted_bucket = :bucket and (
    exists (select from core.media_asset_versions a where a.hosted_key = l.hosted_key and a.hosted_bucket = l.hosted_bucket)
    or exists (
        select from core.media_asset_variants v
        left join core.variant_generations g on g.media_asset_id = v.media_asset_id and g.kind = 'crop'
        where v.hosted_key = l.hosted_key
          and (v.superseded_at is null or v.crop_signature in (coalesce(g.served, ''), coalesce(g.wanted, '')))))
order by l.hosted_key;

-- name: lock_due(bucket, whys, undo_seconds, orphan_seconds, after, limit)
-- A chunk of what may be deleted now, locked: a render that wants one of these keys waits until we are done.
select hosted_key, why, bytes from core.removal_list
where hosted_bucket = :bucket and hosted_key > :after and why = any(:whys)
  and listed_at <= now() - make_interval(
      secs => case why when 'orphan' then :orphan_seconds when 'dropped' then 0 else :undo_seconds end)
order by hosted_key
limit :limit
for update;

-- name: mark_dropped(bucket, hosted_keys)!
update core.removal_list set why = 'dropped' where hosted_bucket = :bucket and hosted_key = any(:hosted_keys);

-- name: adopt_retired_objects(bucket, hosted_keys)!
-- A set that comes back (an older recipe, say) takes its objects back from retirement.
delete from core.retired_objects where hosted_bucket = :bucket and hosted_key = any(:hosted_keys);

-- name: drop_superseded_rows(hosted_keys)
-- Rows of these objects that are still superseded and wanted by nobody; those that are not are left, and refused.
delete from core.media_asset_variants v
using (
    select v.id from core.media_asset_variants v
    left join core.variant_generations g on g.media_asset_id = v.media_asset_id and g.kind = 'crop'
    where v.hosted_key = any(:hosted_keys) and v.superseded_at is not null
      and v.crop_signature not in (coalesce(g.served, ''), coalesce(g.wanted, ''))
    for update of v
) as dead
where v.id = dead.id
returning v.hosted_key;

-- name: drop_retired_rows(bucket, hosted_keys)
delete from core.retired_objects where hosted_bucket = :bucket and hosted_key = any(:hosted_keys)
returning hosted_key;

-- name: still_referenced(bucket, hosted_keys)
-- Of these keys, those that some row stands for.
select hosted_key from core.media_asset_versions where hosted_bucket = :bucket and hosted_key = any(:hosted_keys)
union
select hosted_key from core.media_asset_variants where hosted_key = any(:hosted_keys)
union
select hosted_key from core.retired_objects where hosted_bucket = :bucket and hosted_key = any(:hosted_keys);
