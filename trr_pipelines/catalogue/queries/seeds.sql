-- name: lock_link(person_id, link_id)$
select facebank_seed from core.media_links
where id = :link_id and person_id = :person_id
for no key update;

-- name: set_seed(link_id, facebank_seed, author)!
update core.media_links
set facebank_seed = :facebank_seed, facebank_seed_changed_by = :author, facebank_seed_changed_at = now(),
    updated_at = now()
where id = :link_id;

-- name: served_photos(person_id, seed_only, after, limit)
-- Served photos of a person, by link; all of them without a limit.
select g.link_id, g.media_asset_id, a.hosted_bucket, g.hosted_key, g.hosted_url, a.is_external, g.sha256, g.width,
       g.height, g.source, g.facebank_seed, g.caption, g.updated_at
from core.v_person_gallery g join core.media_assets a on a.id = g.media_asset_id
where g.person_id = :person_id
  and (g.facebank_seed or not :seed_only)
  and g.hosted_url is not null
  and (:after::uuid is null or g.link_id > :after)
order by g.link_id
limit :limit;

-- name: unserved(person_id, seed_only)$
-- Photos of a person that are linked but not served (yet).
select count(*) from core.v_person_gallery
where person_id = :person_id and (facebank_seed or not :seed_only) and hosted_url is null;
