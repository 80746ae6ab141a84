-- name: current(bucket)^
with created as (
    insert into core.store_epochs (hosted_bucket) values (:bucket)
    on conflict on constraint store_epochs_pkey do nothing
    returning catalogue_id, epoch, adopted_at, is_shared
)
select * from created
union all
select catalogue_id, epoch, adopted_at, is_shared from core.store_epochs where hosted_bucket = :bucket;

-- name: advance(bucket, is_shared)^
insert into core.store_epochs as e (hosted_bucket, epoch, is_shared)
values (:bucket, 1, :is_shared or exists (select from core.media_assets where is_external)
                    or exists (select from core.takedowns where external_objects <> '[]'))
on conflict on constraint store_epochs_pkey
    do update set epoch = e.epoch + 1, advanced_at = now(), is_shared = e.is_shared or excluded.is_shared
returning catalogue_id, epoch, adopted_at, is_shared;

-- name: is_shared(bucket)$
select exists (select from core.media_assets where is_external)
    or exists (select from core.takedowns where external_objects <> '[]')
    or exists (select from core.store_epochs where hosted_bucket = :bucket and is_shared);

-- name: adopt(bucket, epoch, is_shared)^
insert into core.store_epochs as e (hosted_bucket, epoch, adopted_at, is_shared)
values (:bucket, :epoch, now(), :is_shared)
on conflict on constraint store_epochs_pkey
    do update set epoch = greatest(e.epoch, excluded.epoch), advanced_at = now(), adopted_at = now(),
                  is_shared = e.is_shared or excluded.is_shared
returning catalogue_id, epoch, adopted_at, is_shared;
