-- name: current(bucket)^
with created as (
    insert into core.store_epochs (hosted_bucket) values (:bucket)
    on conflict on constraint store_epochs_pkey do nothing
    returning catalogue_id, epoch, adopted_at
)
select * from created
union all
select catalogue_id, epoch, adopted_at from core.store_epochs where hosted_bucket = :bucket;

-- name: advance(bucket)^
insert into core.store_epochs as e (hosted_bucket, epoch) values (:bucket, 1)
on conflict on constraint store_epochs_pkey do update set epoch = e.epoch + 1, advanced_at = now()
returning catalogue_id, epoch, adopted_at;

-- name: adopt(bucket, epoch)^
insert into core.store_epochs as e (hosted_bucket, epoch, adopted_at) values (:bucket, :epoch, now())
on conflict on constraint store_epochs_pkey
    do update set epoch = greatest(e.epoch, excluded.epoch), advanced_at = now(), adopted_at = now()
returning catalogue_id, epoch, adopted_at;
