-- A gallery's primary photo. Screenalytics reads a person's photos best first: primary, then by position.
alter table core.media_links add column is_primary boolean not null default false;

-- The order of a person's photos and of their seeds, which pages continue after a sort key.
drop index core.media_links_person_idx;
create index media_links_person_idx on core.media_links (person_id, (not is_primary), position, id)
    where person_id is not null;
drop index core.media_links_seeds_idx;
create index media_links_seeds_idx on core.media_links (person_id, (not is_primary), position, id) where facebank_seed;

-- Earlier ranks of a person's links, for an hour: a list that was begun keeps its order, whatever moves meanwhile.
-- `replaced_by` is the transaction that changed the rank; the snapshot of a list says whether that came later.
create table core.media_link_ranks (
    id          bigint      not null generated always as identity,
    link_id     uuid        not null,
    person_id   uuid        not null,
    is_primary  boolean     not null,
    position    integer     not null,
    replaced_by xid8        not null default pg_current_xact_id(),
    replaced_at timestamptz not null default clock_timestamp(),
    constraint media_link_ranks_pkey primary key (id),
    constraint media_link_ranks_link_id_fkey
        foreign key (link_id) references core.media_links (id) on delete cascade
);
create index media_link_ranks_person_idx on core.media_link_ranks (person_id, link_id, id);
create index media_link_ranks_link_idx on core.media_link_ranks (link_id);
create index media_link_ranks_replaced_idx on core.media_link_ranks (replaced_at);

create function core.keep_earlier_rank() returns trigger language plpgsql as $$
begin
    delete from core.media_link_ranks where replaced_at < now() - interval '1 hour';
    insert into core.media_link_ranks (link_id, person_id, is_primary, position)
    values (old.id, old.person_id, old.is_primary, old.position);
    return null;
end;
$$;

create trigger media_links_moved after update of is_primary, position on core.media_links
    for each row when (old.person_id is not null and (old.is_primary, old.position) is distinct from
                       (new.is_primary, new.position))
    execute function core.keep_earlier_rank();
