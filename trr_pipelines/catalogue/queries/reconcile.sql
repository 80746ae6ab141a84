-- name: hosted_objects(bucket)
-- Every object that has a row, in the order in which stores list keys; `is_served` is false for retired ones.
select hosted_key, bool_or(is_served) as is_served
from (
    select hosted_key, true as is_served from core.media_asset_versions where hosted_bucket = :bucket
    union all
    select hosted_key, true from core.media_asset_variants where hosted_bucket = :bucket
    union all
    select hosted_key, false from core.retired_objects where hosted_bucket = :bucket
) as object
group by hosted_key
order by hosted_key collate "C";

-- name: rows_of_objects(hosted_keys)
-- The rows of these objects now.
select hosted_key, true as is_served from core.media_asset_versions where hosted_key = any(:hosted_keys)
union all
select hosted_key, true from core.media_asset_variants where hosted_key = any(:hosted_keys)
union all
select hosted_key, false from core.retired_objects where hosted_key = any(:hosted_keys);
