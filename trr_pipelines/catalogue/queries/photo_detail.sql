-- name: photo(photo_id)^
select a.id, a.source, a.source_url, a.batch_key, a.state, a.reason, a.sha256, a.bytes, a.width, a.height, a.format,
       a.frames, a.hosted_bucket, a.hosted_key, a.hosted_url, a.is_external, a.placeholder, a.dominant_color, a.created_at, a.updated_at,
       coalesce(a.metadata -> 'warnings', '[]') as warnings, a.metadata -> 'original_unfit' as original_unfit,
       c.crop_mode, c.crop_x, c.crop_y, c.crop_zoom, c.crop_signature
from core.media_assets a
left join core.media_asset_crops c on c.media_asset_id = a.id and c.is_active
where a.id = :photo_id;

-- name: links(photo_id)
select l.id as link_id, l.kind, l.caption, l.tags, l.position, l.facebank_seed, l.is_external,
       l.crop_mode, l.crop_x, l.crop_y, l.crop_zoom, l.crop_signature, l.served_crop,
       coalesce(s.id, show.id) as show_id, coalesce(s.title, show.title) as title, season.number as season,
       p.id as person_id, p.full_name
from core.media_links l
left join core.shows show on show.id = l.show_id
left join core.seasons season on season.id = l.season_id
left join core.shows s on s.id = season.show_id
left join core.people p on p.id = l.person_id
where l.media_asset_id = :photo_id
order by l.created_at, l.id;

-- name: variants(photo_id)
select variant_key, format, width, height, bytes, sha256, hosted_key, hosted_url, crop_signature, recipe,
       source_version, superseded_at, created_at
from core.media_asset_variants where media_asset_id = :photo_id
order by superseded_at nulls first, crop_signature, variant_key, format;

-- name: generations(photo_id)
select kind, state, reason, detail, attempts, next_attempt_at, wanted, served, recipe, version, lease_until, run_id,
       updated_at
from core.variant_generations where media_asset_id = :photo_id
order by array_position(array['original', 'base', 'crop'], kind);
