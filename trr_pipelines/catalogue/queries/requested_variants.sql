-- name: progress(photo_ids)
-- Photos with their work by kind; one row without a kind for a photo without any.
select a.id, a.state as photo_state, a.reason as photo_reason, g.kind, g.state, g.reason, g.detail,
       g.next_attempt_at is not null as is_retried
from core.media_assets a
left join core.variant_generations g on g.media_asset_id = a.id
where a.id = any(:photo_ids);

-- name: files(photo_id, crop_signature)
-- The current files of one set: of the base with an empty signature.
select variant_key, format, hosted_url, width, height, bytes
from core.media_asset_variants
where media_asset_id = :photo_id and crop_signature = :crop_signature and superseded_at is null
order by width, variant_key, format;
