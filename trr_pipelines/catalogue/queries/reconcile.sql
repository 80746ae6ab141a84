-- name: hosted_objects(bucket)
-- Every object that has a row, in the order in which stores list keys; `is_served` is false for retired ones, whose size
-- and hash do not matter any more.
select hosted_key, bool_or(is_served) as is_served, max(bytes) as bytes, max(sha256) as sha256
from (
    select hosted_key, true as is_served, bytes, sha256
    from core.media_asset_versions where hosted_bucket = :bucket
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
    from core.media_asset_versions where hosted_key = any(:hosted_keys)
    union all
    select hosted_key, true, bytes, sha256 from core.media_asset_variants where hosted_key = any(:hosted_keys)
    union all
    select hosted_key, false, null, null from core.retired_objects where hosted_key = any(:hosted_keys)
) as object
group by hosted_key;

-- name: batches(keys)
select key from core.import_batches where key = any(:keys);
