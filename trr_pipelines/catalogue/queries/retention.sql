-- name: list_superseded(bucket, grace_seconds)!
-- Crop sets that were superseded before the grace period, and are not in use again.
insert into core.removal_list (hosted_bucket, hosted_key, why, bytes)
select v.hosted_bucket, v.hosted_key, 'superseded', v.bytes
from core.media_asset_variants v
where v.superseded_at <= now() - make_interval(secs => :grace_seconds) and v.hosted_bucket = :bucket
  and not exists (select from core.crops_in_use used
                  where used.media_asset_id = v.media_asset_id and used.crop_signature = v.crop_signature)
on conflict on constraint removal_list_pkey do nothing;

-- name: list_retired(bucket, grace_seconds)!
insert into core.removal_list (hosted_bucket, hosted_key, why, bytes)
select hosted_bucket, hosted_key, 'retired', bytes
from core.retired_objects
where retired_at <= now() - make_interval(secs => :grace_seconds) and hosted_bucket = :bucket
on conflict on constraint removal_list_pkey do nothing;

-- name: list_orphans(bucket, objects)!
-- Of these objects of the store, those that have no row.
insert into core.removal_list (hosted_bucket, hosted_key, why, bytes)
select :bucket, object.hosted_key, 'orphan', object.bytes
from jsonb_to_recordset(:objects::jsonb) as object (hosted_key text, bytes bigint)
where not exists (select from core.media_asset_versions a where a.hosted_key = object.hosted_key and a.hosted_bucket = :bucket)
  and not exists (select from core.media_asset_variants v where v.hosted_key = object.hosted_key)
  and not exists (select from core.retired_objects r
                  where r.hosted_bucket = :bucket and r.hosted_key = object.hosted_key)
on conflict on constraint removal_list_pkey do nothing;

-- name: unlist_in_use(bucket)!
-- Objects that are in use again.
delete from core.listed_in_use where hosted_bucket = :bucket;

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
-- Listed objects that are in use. There should be none.
select hosted_key from core.listed_in_use where hosted_bucket = :bucket order by hosted_key;

-- name: lock_due(bucket, whys, undo_seconds, orphan_seconds, after, limit)
-- The next objects that may be deleted, locked: a render that needs one of these keys waits for this transaction.
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
-- Objects of a set that is served again (e.g. of an older recipe) are no longer retired.
delete from core.retired_objects where hosted_bucket = :bucket and hosted_key = any(:hosted_keys);

-- name: drop_superseded_rows(hosted_keys)
-- Delete the rows of these objects that are superseded and not wanted. The predicates are on the locked row itself, so
-- that PostgreSQL tests them again after waiting for a concurrent edit.
delete from core.media_asset_variants v
using (
    select v.id from core.media_asset_variants v
    where v.hosted_key = any(:hosted_keys) and v.superseded_at is not null
      and not exists (select from core.crops_in_use used
                      where used.media_asset_id = v.media_asset_id and used.crop_signature = v.crop_signature)
    for update of v
) as dead
where v.id = dead.id
returning v.hosted_key;

-- name: drop_retired_rows(bucket, hosted_keys)
delete from core.retired_objects where hosted_bucket = :bucket and hosted_key = any(:hosted_keys)
returning hosted_key;

-- name: still_referenced(bucket, hosted_keys)
-- Of these keys, those that have a row.
select hosted_key from core.media_asset_versions where hosted_bucket = :bucket and hosted_key = any(:hosted_keys)
union
select hosted_key from core.media_assets
where is_external and hosted_bucket = :bucket and hosted_key = any(:hosted_keys)
union
select hosted_key from core.media_asset_variants where hosted_key = any(:hosted_keys)
union
select hosted_key from core.retired_objects where hosted_bucket = :bucket and hosted_key = any(:hosted_keys);

-- name: lock_overtaken(photo_id)^
-- Nothing claims, renders or edits the photo until the transaction ends. `crops` are the signatures of its crops in use;
-- `is_proposing` says that a run now renders a crop that it chooses itself.
select a.sha256,
       array(select crop_signature from core.crops_in_use used where used.media_asset_id = a.id) as crops,
       a.proposes_crop and coalesce(g.wanted = '' and g.lease_until > now(), false) as is_proposing
from core.media_assets a
left join core.variant_generations g on g.media_asset_id = a.id and g.kind = 'crop'
where a.id = :photo_id for update of a;

-- name: awaiting_deletion(bucket, hosted_keys)
-- Of these objects without rows, those that are listed for deletion, and those of takedowns that are not finished.
select hosted_key from core.removal_list where hosted_bucket = :bucket and hosted_key = any(:hosted_keys)
union
select key from core.takedowns t, unnest(:hosted_keys::text[]) as key
where t.objects_gone_at is null
  and (key = any(t.hosted_keys) or split_part(key, '/', 2) in (t.media_asset_id::text, t.batch_key));
