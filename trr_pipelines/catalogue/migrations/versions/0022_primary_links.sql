-- A gallery's primary photo. Screenalytics reads a person's photos best first: primary, then by position.
alter table core.media_links add column is_primary boolean not null default false;

-- The order of a person's photos and of their seeds, which pages continue after a sort key.
drop index core.media_links_person_idx;
create index media_links_person_idx on core.media_links (person_id, (not is_primary), position, id)
    where person_id is not null;
drop index core.media_links_seeds_idx;
create index media_links_seeds_idx on core.media_links (person_id, (not is_primary), position, id) where facebank_seed;
