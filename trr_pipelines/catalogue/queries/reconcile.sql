-- name: hosted_objects(bucket)
-- Every object of ours that has a row, in the order in which stores list keys; `is_served` is false for retired ones,
-- whose size and hash do not matter any more.
select hosted_key, bool_or(is_served) as is_served, max(bytes) as bytes, max(sha256) as sha256
from (
    select hosted_key, true as is_served, bytes, sha256
    from core.media_asset_versions where hosted_bucket = :bucket and not is_external
    union all
    select hosted_key, true, bytes, sha256 from core.media_asset_variants where hosted_bucket = :bucket
    union all
    select hosted_key, false, null, null from core.retired_objects where hosted_bucket = :bucket
) as object
group by hosted_key
order by hosted_key collate "C";

-- name: rows_of_objects(hosted_keys)
-- The rows of these objects now.
select hosted_key, bool_or(is_served) as is_served, max(bytes) as bytes, max(sha256) as sha256
from (
    select hosted_key, true as is_served, bytes, sha256
    from core.media_asset_versions where hosted_key = any(:hosted_keys) and not is_external
    union all
    select hosted_key, true, bytes, sha256 from core.media_asset_variants where hosted_key = any(:hosted_keys)
    union all
    select hosted_key, false, null, null from core.retired_objects where hosted_key = any(:hosted_keys)
) as object
group by hosted_key;

-- name: external_keys(bucket, hosted_keys)
-- Those of these keys that photos have as external originals, read or not.
select hosted_key from core.media_assets
where is_external and hosted_bucket = :bucket and hosted_key = any(:hosted_keys)
union
select hosted_key from core.media_asset_versions
where is_external and hosted_bucket = :bucket and hosted_key = any(:hosted_keys);

-- name: external_originals(after, limit)
-- External originals that were read, by photo.
select id as media_asset_id, hosted_bucket, hosted_key, bytes, sha256
from core.media_assets
where is_external and sha256 is not null and (:after::uuid is null or id > :after)
order by id
limit :limit;

-- name: batches(keys)
select key from core.import_batches where key = any(:keys);
