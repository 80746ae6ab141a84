-- Queries on both kinds of face bank. `{bank}` is the schema of our tables, `{images}` the faces of every person.

-- name: limit_lock_waits(milliseconds)!
-- For this transaction: a setting of the session would reach others through a pooler.
select set_config('lock_timeout', :milliseconds::text, true);

-- name: take_ticket()$
-- Before a list is read: a list with a later ticket is newer.
select nextval('{bank}.face_bank_tickets');

-- name: lock_bank(bank)!
-- Shared lock of every import, to the end of the transaction. Removals take it alone.
select pg_advisory_xact_lock_shared(:bank);

-- name: lock_person(bank, person_id)!
select pg_advisory_xact_lock(hashtextextended(:person_id::text, :bank));

-- name: lock_bank_alone(bank)!
select pg_advisory_xact_lock(:bank);

-- name: newest_ticket(person_id)$
-- The ticket of the newest change that an import must not go behind: an import of this person, or any removal.
select greatest((select max(ticket) from {bank}.face_bank_removals),
                (select ticket from {bank}.person where id = :person_id), 0);

-- name: note_removal()!
insert into {bank}.face_bank_removals as r (only_row, ticket) values (true, nextval('{bank}.face_bank_tickets'))
on conflict on constraint face_bank_removals_pkey do update set ticket = excluded.ticket;

-- name: put_person(person_id)!
insert into {bank}.person (id) values (:person_id) on conflict on constraint person_pkey do nothing;

-- name: record_import(person_id, outcome, calls, reviews_changed, ticket)!
update {bank}.person
set synced_at = now(), outcome = :outcome, calls = :calls, reviews_changed = :reviews_changed, ticket = :ticket
where id = :person_id;

-- name: person(person_id)^
select id, full_name, shows, synced_at, outcome, calls, reviews_changed from {bank}.person where id = :person_id;

-- name: put_cast(people)!
-- Copies names and shows from the backend's catalogue, including removals from a show.
insert into {bank}.person as p (id, full_name, shows)
select id, full_name, shows from jsonb_to_recordset(:people::jsonb) as new (id uuid, full_name text, shows text[])
order by id
on conflict on constraint person_pkey do update set full_name = excluded.full_name, shows = excluded.shows
where (p.full_name, p.shows) is distinct from (excluded.full_name, excluded.shows);

-- name: cast_of(show)
select id from {bank}.person where shows @> array[:show] order by full_name, id;

-- name: figures(person_id)^
select count(*) as images, count(*) filter (where is_seed) as seeds, count(*) filter (where approved) as approved,
       count(*) filter (where rejected) as rejected,
       count(*) filter (where quality_sha256 is null or quality_sha256 is distinct from coalesce(sha256, quality_sha256))
           as not_looked_at
from {images} b where person_id = :person_id;

-- name: quality_reasons(person_id)
select quality_reason as reason, count(*) as images
from {images} b
where person_id = :person_id and quality_reason is not null and quality_sha256 = coalesce(sha256, quality_sha256)
group by 1 order by 1;

-- name: previews(person_id, limit)
select preview from {images} b
where person_id = :person_id and preview is not null
order by is_seed desc, approved desc, media_asset_id
limit :limit;

-- name: duplicates(person_id)
-- Photos that occur more than once for one person, by id, key or content hash.
select media_asset_id::text as photo, sha256, count(*) over (partition by coalesce(sha256, hosted_key)) as times
from {images} b
where person_id = :person_id
  and exists (select from {images} other
              where other.person_id = b.person_id and other.id <> b.id
                and (other.media_asset_id = b.media_asset_id or other.sha256 = b.sha256
                     or other.hosted_key = b.hosted_key))
order by sha256, photo;

-- name: seeds(person_id)
select media_asset_id, hosted_key from {images} b where person_id = :person_id and is_seed;

-- name: to_look_at(person_id, limit)
-- Without a hash in the backend's list, a face is looked at once.
select id, served_url, sha256, width, height from {images} b
where person_id = :person_id and served_url is not null
  and (quality_sha256 is null or quality_sha256 is distinct from coalesce(sha256, quality_sha256))
order by is_seed desc, created_at, id
limit :limit;

-- name: all_flags(person_id)
select id, is_seed from {images} b where person_id = :person_id order by id;

-- name: remove_person_without_images(person_id)!
delete from {bank}.person p
where p.id = :person_id and not exists (select from {images} b where b.person_id = p.id);

-- name: faces(person_id)
select media_asset_id, link_id, is_seed, approved, reviewed_by from {images} b where person_id = :person_id;
