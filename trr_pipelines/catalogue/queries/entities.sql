-- name: exists(entity_kind, entity_id)$
select exists (select from core.entities where entity_kind = :entity_kind and id = :entity_id);

-- name: page(entity_kind, entity_id, q, after, limit, kinds)
-- Shows or people by name, with their slugs (their ids when they have none), their links by kind, and the seasons of a
-- show or the face-bank seeds of a person (up to 10,000). The links of a show include those of its seasons.
select e.id, e.name, coalesce(slug.slug, e.id::text) as slug, e.created_at,
       cardinality(gallery.entities) - 1 as seasons,
       case :entity_kind when 'person' then (
           select count(*)
           from (select from core.media_links l where l.person_id = e.id and l.facebank_seed limit 10000) as links
       ) else 0 end as seeds,
       counts.by_kind
from (
    select id, name, created_at
    from core.entities
    where entity_kind = :entity_kind
      and (:entity_id::uuid is null or id = :entity_id)
      and (:q::text is null or strpos(name_key, core.name_key(:q::text)) > 0)
      and (:after::uuid is null
           or (lower(name), id) > (
               select lower(name), id from core.entities where entity_kind = :entity_kind and id = :after))
    order by lower(name), id
    limit :limit
) as e
left join core.slugs slug on slug.entity_kind = :entity_kind and slug.entity_id = e.id and slug.is_current
cross join lateral (
    select array(
        select e.id
        union all
        select season.id from core.seasons season where season.show_id = e.id and :entity_kind = 'show'
    ) as entities
) as gallery
cross join lateral core.links_by_kind(gallery.entities, :kinds) as counts
order by lower(e.name), e.id;

-- name: seasons(show_id, kinds)
select s.id, s.number, counts.by_kind
from core.seasons s
cross join lateral core.links_by_kind(array[s.id], :kinds) as counts
where s.show_id = :show_id
order by s.number;

-- name: lock_show(entity_id)$
select title from core.shows where id = :entity_id for no key update;

-- name: lock_person(entity_id)$
select full_name from core.people where id = :entity_id for no key update;

-- name: rename_show(name, entity_id)!
update core.shows set title = :name where id = :entity_id;

-- name: rename_person(name, entity_id)!
update core.people set full_name = :name where id = :entity_id;

-- name: with_name(entity_kind, name)
select id from core.entities where entity_kind = :entity_kind and name_key = core.name_key(:name);
