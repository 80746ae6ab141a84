-- name: lock()$
-- Serialises naming, so that no transaction finds a slug free that another is giving.
select true from (select pg_advisory_xact_lock(hashtextextended('entities', 0))) as locked;

-- name: free_numbers(entity_kind, entity_id, bases, firsts, counts)
-- For each base the `count` lowest numbers from `first` on whose slugs no other entity has or had: 1 is the base itself,
-- 2 is `base-2`. Numbers are tried one by one, each by the primary key, until enough are found.
select wanted.base, free.number
from unnest(:bases::text[], :firsts::integer[], :counts::integer[]) as wanted (base, first, count)
cross join lateral (
    select tried.number
    from (select generate_series(wanted.first, 2147483647) as number) as tried
    where coalesce(
        (select s.entity_id from core.slugs s
         where s.entity_kind = :entity_kind
           and s.slug = wanted.base || case when tried.number = 1 then '' else '-' || tried.number end),
        :entity_id::uuid) is not distinct from :entity_id::uuid
    limit wanted.count
) as free;

-- name: give_new(entity_kind, slugs, entity_ids)
-- Returns the entities that got their slug; the others' slugs are taken.
insert into core.slugs (entity_kind, slug, entity_id)
select :entity_kind, given.slug, given.entity_id from unnest(:slugs::text[], :entity_ids::uuid[]) as given (slug, entity_id)
on conflict on constraint slugs_pkey do nothing
returning entity_id;

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
