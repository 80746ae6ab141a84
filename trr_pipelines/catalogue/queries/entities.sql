-- name: exists(entity_kind, entity_id)$
select case :entity_kind
    when 'show' then exists (select from core.shows where id = :entity_id)
    when 'person' then exists (select from core.people where id = :entity_id)
end;

-- name: shows(entity_id, q, after, limit, kinds)
-- Shows by title, with their slugs (their ids, where a row came without one) and the links of theirs and of their seasons, of each kind up to 10,000.
select s.id, s.title, coalesce(slug.slug, s.id::text) as slug, s.created_at,
       (select count(*) from core.seasons season where season.show_id = s.id) as seasons,
       counts.by_kind
from (
    select s.id, s.title, s.created_at
    from core.shows s
    where (:entity_id::uuid is null or s.id = :entity_id)
      and (:q::text is null or strpos(lower(s.title), lower(:q::text)) > 0)
      and (:after::uuid is null or lower(s.title) > (select lower(title) from core.shows where id = :after))
    order by lower(s.title)
    limit :limit
) as s
left join core.slugs slug on slug.entity_kind = 'show' and slug.entity_id = s.id and slug.is_current
cross join lateral (
    select jsonb_object_agg(wanted.kind, counted.links) as by_kind
    from unnest(:kinds::text[]) as wanted (kind)
    cross join lateral (
        select count(*) as links
        from (
            select from core.media_links l
            where l.entity_id = any(array(select s.id union all
                                          select season.id from core.seasons season where season.show_id = s.id))
              and l.kind = wanted.kind
            limit 10000
        ) as links
    ) as counted
) as counts
order by lower(s.title);

-- name: seasons(show_id, kinds)
select s.id, s.number, counts.by_kind
from core.seasons s
cross join lateral (
    select jsonb_object_agg(wanted.kind, counted.links) as by_kind
    from unnest(:kinds::text[]) as wanted (kind)
    cross join lateral (
        select count(*) as links
        from (select from core.media_links l where l.entity_id = s.id and l.kind = wanted.kind limit 10000) as links
    ) as counted
) as counts
where s.show_id = :show_id
order by s.number;

-- name: people(entity_id, q, after, limit, kinds)
-- People by name, with their slugs, their links of each kind and their face-bank seeds, up to 10,000.
select p.id, p.full_name, coalesce(slug.slug, p.id::text) as slug, p.created_at, seeds.seeds, counts.by_kind
from (
    select p.id, p.full_name, p.created_at
    from core.people p
    where (:entity_id::uuid is null or p.id = :entity_id)
      and (:q::text is null or strpos(lower(p.full_name), lower(:q::text)) > 0)
      and (:after::uuid is null or lower(p.full_name) > (select lower(full_name) from core.people where id = :after))
    order by lower(p.full_name)
    limit :limit
) as p
left join core.slugs slug on slug.entity_kind = 'person' and slug.entity_id = p.id and slug.is_current
cross join lateral (
    select count(*) as seeds
    from (select from core.media_links l where l.person_id = p.id and l.facebank_seed limit 10000) as links
) as seeds
cross join lateral (
    select jsonb_object_agg(wanted.kind, counted.links) as by_kind
    from unnest(:kinds::text[]) as wanted (kind)
    cross join lateral (
        select count(*) as links
        from (select from core.media_links l where l.entity_id = p.id and l.kind = wanted.kind limit 10000) as links
    ) as counted
) as counts
order by lower(p.full_name);

-- name: lock_show(entity_id)$
select title from core.shows where id = :entity_id for no key update;

-- name: lock_person(entity_id)$
select full_name from core.people where id = :entity_id for no key update;

-- name: rename_show(name, entity_id)!
update core.shows set title = :name where id = :entity_id;

-- name: rename_person(name, entity_id)!
update core.people set full_name = :name where id = :entity_id;

-- name: show_with_title(name)$
select id from core.shows where lower(title) = lower(:name);

-- name: person_with_name(name)$
select id from core.people where lower(full_name) = lower(:name);
