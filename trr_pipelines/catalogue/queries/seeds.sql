-- name: lock_link(person_id, link_id)$
select facebank_seed from core.media_links
where id = :link_id and person_id = :person_id
for no key update;

-- name: set_seed(link_id, facebank_seed, author)!
update core.media_links
set facebank_seed = :facebank_seed, facebank_seed_changed_by = :author, facebank_seed_changed_at = now(),
    updated_at = now()
where id = :link_id;

-- name: served_photos(person_id, seed_only, after_primary, after_position, after_link, offset, limit)
-- Served photos of a person, best first, after a sort key or, without one, from `offset` on.
select l.id as link_id, l.media_asset_id, a.hosted_key, a.hosted_url, l.is_primary, l.position, a.width, a.height,
       l.kind, a.sha256, a.source, l.facebank_seed, l.caption, greatest(l.updated_at, a.updated_at) as updated_at
from core.media_links l
join core.media_assets a on a.id = l.media_asset_id
where l.person_id = :person_id
  and (l.facebank_seed or not :seed_only)
  and a.state = 'mirrored' and a.hosted_url is not null
  and (:after_link::uuid is null
       or (not l.is_primary, l.position, l.id) > (not :after_primary::boolean, :after_position::integer, :after_link))
order by not l.is_primary, l.position, l.id
limit :limit offset :offset;

-- name: count_photos(person_id, seed_only)^
-- Photos of a person that are served, and that are linked but not served (yet).
select count(*) filter (where is_served) as served, count(*) filter (where not is_served) as unserved
from core.media_links l
join core.media_assets a on a.id = l.media_asset_id,
lateral (select coalesce(a.state = 'mirrored' and a.hosted_url is not null, false) as is_served) as photo
where l.person_id = :person_id and (l.facebank_seed or not :seed_only);
