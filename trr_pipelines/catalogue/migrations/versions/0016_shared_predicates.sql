-- Predicates that several queries share, each defined once. All are inlined when a statement is planned.

-- A complete set that another recipe made.
create function core.is_outdated(kind text, state text, recipe text, base_recipe text, crop_recipe text)
returns boolean language sql immutable parallel safe
return (state = 'complete' and kind = 'base' and recipe <> base_recipe)
    or (state = 'complete' and kind = 'crop' and recipe <> crop_recipe);

-- Open work of a photo: never begun (no row in the ledger: a batch of the lane `backfill`), pending, waiting for its next
-- attempt, or complete at another recipe. Work that ended as failed is not open.
create function core.is_open(
    photo_state text, kind text, state text, next_attempt_at timestamptz, recipe text, base_recipe text, crop_recipe text
) returns boolean language sql immutable parallel safe
return (kind is null and photo_state = 'pending') or state = 'pending' or next_attempt_at is not null
    or core.is_outdated(kind, state, recipe, base_recipe, crop_recipe);

-- A crop set that is served, or that an edit wants again. `served` and `wanted` are those of the photo's crop work; null
-- without any.
create function core.is_wanted(crop_signature text, served text, wanted text)
returns boolean language sql immutable parallel safe
return crop_signature in (coalesce(served, ''), coalesce(wanted, ''));

-- Objects on the removal list that are in use: an original, or a variant that is not superseded or wanted again.
create view core.listed_in_use as
select l.* from core.removal_list l
where exists (select from core.media_asset_versions o
              where o.hosted_key = l.hosted_key and o.hosted_bucket = l.hosted_bucket)
   or exists (select from core.media_asset_variants v
              left join core.variant_generations g on g.media_asset_id = v.media_asset_id and g.kind = 'crop'
              where v.hosted_key = l.hosted_key
                and (v.superseded_at is null or core.is_wanted(v.crop_signature, g.served, g.wanted)));

-- Shows and people alike. With a constant `entity_kind` only one of the two tables is read.
create view core.entities as
select 'show' as entity_kind, id, title as name, created_at from core.shows
union all
select 'person', id, full_name, created_at from core.people;

-- Links of a gallery by kind, each counted up to 10,000.
create function core.links_by_kind(of_entities uuid[], of_kinds text[]) returns table (by_kind jsonb)
language sql stable parallel safe
begin atomic
    select jsonb_object_agg(wanted.kind, counted.links)
    from unnest(of_kinds) as wanted (kind)
    cross join lateral (
        select count(*) as links
        from (
            select from core.media_links l
            where l.entity_id = any(of_entities) and l.kind = wanted.kind
            limit 10000
        ) as links
    ) as counted;
end;
