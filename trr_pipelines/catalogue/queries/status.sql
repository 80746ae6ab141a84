-- name: assets_by_state()
select state, count(*) as photos from core.media_assets group by state;

-- name: generations_by_state()
select kind, state, count(*) as photos from core.variant_generations group by kind, state;

-- name: originals_total()^
select count(*) as count, coalesce(sum(bytes), 0)::bigint as bytes from core.media_assets where sha256 is not null;

-- name: variants_total()^
select count(*) as count, coalesce(sum(bytes), 0)::bigint as bytes
from core.media_asset_variants where superseded_at is null;

-- name: live_lag()^
select coalesce(extract(epoch from now() - min(since)), 0)::float8 as seconds, count(distinct media_asset_id) as photos
from core.live_work;

-- name: count_links()$
select count(*) from core.media_links;
