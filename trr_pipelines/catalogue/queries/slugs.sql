-- name: lock()$
-- Serialises naming, so that no transaction finds a slug free that another is giving.
select true from (select pg_advisory_xact_lock(hashtextextended('entities', 0))) as locked;

-- name: taken(entity_kind, slug)
select slug, entity_id from core.slugs
where entity_kind = :entity_kind and (slug = :slug or slug like :slug || '-%%');

-- name: retire(entity_kind, entity_id)!
update core.slugs set is_current = false where entity_kind = :entity_kind and entity_id = :entity_id and is_current;

-- name: give(entity_kind, entity_id, slug)!
insert into core.slugs (entity_kind, slug, entity_id) values (:entity_kind, :slug, :entity_id)
on conflict on constraint slugs_pkey do update set is_current = true;

-- name: find(entity_kind, slugs)^
-- The entity of the first of these slugs that was ever given, and its current slug.
select given.entity_id, given.slug, now.slug as current_slug
from unnest(:slugs::text[]) with ordinality as candidate (slug, place)
join core.slugs given on given.entity_kind = :entity_kind and given.slug = candidate.slug
join core.slugs now on now.entity_kind = given.entity_kind and now.entity_id = given.entity_id and now.is_current
order by candidate.place
limit 1;
