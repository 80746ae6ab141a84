-- Spellings of a name that look alike, and the hosts that originals are fetched from.

-- The form by which names are compared; they are shown as first given. Equal are composed and decomposed characters,
-- full-width and other compatible ones, all spaces, apostrophes and dashes; characters without width count for nothing.
-- At most 592 characters: PostgreSQL limits an index entry to 2,704 bytes.
create function core.name_key(name text) returns text language sql immutable strict parallel safe
begin atomic
    select case when length(folded) <= 560 then folded else left(folded, 560) || md5(folded) end
    from (
        select normalize(lower(btrim(regexp_replace(normalize(translate(name,
            U&'\2018\2019\201B\02BC\02B9\0060\00B4\2032\2010\2011\2012\2013\2014\2015\2212\0085\1680\2028\2029'
                || U&'\200B\200C\200D\2060\FEFF\00AD\034F\061C\180E\200E\200F\202A\202B\202C\202D\202E'
                || U&'\2066\2067\2068\2069\FE0E\FE0F',
            '''''''''''''''''-------    '), NFKC), '\s+', ' ', 'g'))), NFKC) as folded
    ) as form;
end;

-- Not unique: an archive may hold several spellings already. `slugs.lock` keeps imports from adding another.
alter table core.shows add column name_key text not null generated always as (core.name_key(title)) stored;
alter table core.people add column name_key text not null generated always as (core.name_key(full_name)) stored;
create index shows_name_key_idx on core.shows (name_key);
create index people_name_key_idx on core.people (name_key);

create or replace view core.entities as
select 'show' as entity_kind, id, title as name, created_at, name_key from core.shows
union all
select 'person', id, full_name, created_at, name_key from core.people;

-- Tags as first given.
create table core.tags (
    key  text not null,
    name text not null,
    constraint tags_pkey primary key (key)
);
insert into core.tags (key, name)
select distinct on (core.name_key(tag)) core.name_key(tag), tag
from (select tag, min(l.created_at) as first_at from core.media_links l, unnest(l.tags) as tag group by tag) as used
order by core.name_key(tag), first_at, tag;

-- Hosts of sources: no request before `not_before`, which a host asked for; `leases` are the requests under way, each
-- with the time at which a killed process no longer counts.
create table core.source_hosts (
    host       text          not null,
    not_before timestamptz   not null default now(),
    leases     timestamptz[] not null default '{}',
    constraint source_hosts_pkey primary key (host)
);

-- As in 0014, without batches that an operator holds: no run is requested of them until then.
create or replace view core.live_work as
select g.media_asset_id, g.kind, a.batch_key,
       coalesce(
           g.next_attempt_at, g.asked_at, case when g.version = 1 and g.recipe = '' then a.created_at else g.updated_at end
       ) as since
from (
    select * from core.variant_generations where state = 'pending'
    union all
    select * from core.variant_generations where state = 'failed' and next_attempt_at <= now()
) as g
join core.media_assets a on a.id = g.media_asset_id
join core.import_batches b on b.key = a.batch_key
where (g.asked_at is not null or (g.kind = 'crop' and g.served <> '' and g.wanted <> g.served)
       or (b.lane = 'live'
           and not exists (
               select from core.backfill_batches i where i.batch_key = a.batch_key and i.state in ('waiting', 'fed'))
           and not exists (
               select from core.dispatches d
               where d.scope = 'batch:' || a.batch_key and d.not_before > now() + interval '1 year')))
  and (g.kind <> 'crop' or exists (
      select from core.variant_generations base
      where base.media_asset_id = g.media_asset_id and base.kind = 'base' and base.state = 'complete'));
