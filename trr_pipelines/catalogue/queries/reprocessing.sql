-- Matching work is defined by `core.reprocessable`: of failed photos the work that failed, otherwise all work except
-- mirrored originals.

-- name: extent(photo_ids, state, reason, source, base_recipe, crop_recipe, most_photos)^
-- Matching photos, the bytes of their originals, and the originals and sets that do not exist yet. A photo has at most
-- three rows, so with this limit more than :most_photos are counted when more match, though not all.
with work as (
    select media_asset_id, max(bytes) as bytes,
           bool_or(kind = 'original') as original,
           bool_or(kind = 'original' or (kind = 'base' and recipe <> :base_recipe)) as base,
           bool_or(kind = 'original' or (kind = 'crop' and recipe <> :crop_recipe)) as crop
    from (
        select * from core.reprocessable(:photo_ids, :state, :reason, :source) limit 3 * :most_photos + 1
    ) as matching
    group by media_asset_id
)
select count(*) as photos,
       coalesce(sum(bytes), 0)::bigint as bytes,
       count(*) filter (where original) as originals,
       count(*) filter (where base) as base_sets,
       count(*) filter (where crop) as crop_sets
from work;

-- name: matching_photos(photo_ids, state, reason, source)
select distinct media_asset_id from core.reprocessable(:photo_ids, :state, :reason, :source) order by media_asset_id;

-- name: reopen(photo_ids, state, reason, source, of_bytes)
-- Make matching work pending for the sensor that requests runs of listed photos; `failed_for` is its earlier failure.
-- With a set that failed because of its bytes the original is fetched again; `claim` leaves the set until then.
with matching as (
    select * from core.reprocessable(:photo_ids, :state, :reason, :source)
), wanted as (
    select media_asset_id, kind, reason from matching
    union all
    select distinct on (m.media_asset_id) m.media_asset_id, 'original', m.reason
    from matching m
    join core.media_assets a on a.id = m.media_asset_id
    join core.media_asset_versions v on v.media_asset_id = a.id and v.sha256 = a.sha256 and v.author = 'import'
    where m.kind <> 'original' and m.reason = any(:of_bytes::text[])
    order by media_asset_id
)
update core.variant_generations g
set state = 'pending', version = g.version + 1, lease_until = null, run_id = null, attempts = 0,
    reason = null, detail = null, next_attempt_at = null, asked_at = now(), updated_at = now()
from wanted
where g.media_asset_id = wanted.media_asset_id and g.kind = wanted.kind and g.state in ('complete', 'failed')
returning g.media_asset_id, g.kind, wanted.reason as failed_for;

-- name: add_request(state, reason, source, show, photos, author)$
insert into core.reprocess_requests (state, reason, source, show, photos, author)
values (:state, :reason, :source, :show, :photos, :author)
returning id;

-- name: add_photos(request_id, photo_ids, reasons)!
insert into core.reprocess_photos (request_id, media_asset_id, reason)
select :request_id, photo.id, photo.reason from unnest(:photo_ids::uuid[], :reasons::text[]) as photo (id, reason);

-- name: count_photos(request_id, photos)!
update core.reprocess_requests set photos = photos + :photos where id = :request_id;

-- name: prune_requests(days)!
delete from core.reprocess_requests where created_at < now() - make_interval(days => :days);

-- name: request(request_id)^
select id, state, reason, source, show, photos, author, created_at,
       extract(epoch from now() - created_at)::float8 as age_seconds
from core.reprocess_requests where id = :request_id;

-- name: recent_requests(hours, limit)
select id from core.reprocess_requests where created_at > now() - make_interval(hours => :hours)
order by id desc limit :limit;

-- name: requests_of(photo_ids, days)
-- Recent requests that include any of these photos.
select distinct p.request_id
from core.reprocess_photos p join core.reprocess_requests r on r.id = p.request_id
where p.media_asset_id = any(:photo_ids) and r.created_at > now() - make_interval(days => :days)
order by p.request_id;

-- name: outcomes(request_id)
-- Photos of a request by their present outcome: open (or waiting for an automatic retry), failed, complete. Failed photos
-- are grouped by the reason of the earliest failed step, and by whether they had failed for it before.
select outcome, reason, is_as_before, count(*) as photos, max(changed_at) as changed_at
from (
    select case when bool_or(g.state = 'pending' or g.next_attempt_at is not null) then 'open'
                when bool_or(g.state = 'failed') then 'failed' else 'complete' end as outcome,
           failed.reason, failed.reason is not distinct from p.reason as is_as_before,
           max(g.updated_at) as changed_at
    from core.reprocess_photos p
    join core.variant_generations g on g.media_asset_id = p.media_asset_id
    left join lateral (
        select f.reason from core.variant_generations f
        where f.media_asset_id = p.media_asset_id and f.state = 'failed' and f.next_attempt_at is null
        order by array_position(array['original', 'base', 'crop'], f.kind)
        limit 1
    ) as failed on true
    where p.request_id = :request_id
    group by p.media_asset_id, p.reason, failed.reason
) as photo
group by outcome, reason, is_as_before;

-- name: source_is_known(source)$
select exists (select from core.import_batches where source = :source);

-- name: photos_of_show(show_id)
-- Photos of a show and its seasons.
select distinct l.media_asset_id
from core.media_links l
where l.entity_id in (select id from core.seasons where show_id = :show_id union all select :show_id::uuid);
