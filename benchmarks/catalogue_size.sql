-- On top of gallery_page.sql: names to search, one large gallery, and the same open work whatever the size.

insert into core.people (full_name)
select (array['Ada', 'Ben', 'Chloé', 'Dara', 'Eli', 'Farah', 'Gus', 'Hana'])[1 + n % 8] || ' '
       || (array['Abbott', 'Bahrami', 'Castillo', 'Duong', 'Eriksen', 'Farrow', 'Golzari'])[1 + n % 7] || ' ' || n
from generate_series(1, :assets / 20) as n;

insert into core.slugs (entity_kind, slug, entity_id)
select 'person', 'person-' || replace(full_name, ' ', '-'), id from core.people;

insert into core.shows (title) values ('large gallery');

insert into core.media_links (media_asset_id, show_id, kind, position, caption, tags)
select a.id, s.id, (array['photo', 'photo', 'photo', 'news'])[1 + a.n % 4], a.n,
       case when a.n % 1000 = 0 then 'Behind the scenes ' || a.n else 'On the red carpet ' || a.n end,
       case when a.n % 1000 = 0 then array['press', 'rare'] else array['press'] end
from (select id, split_part(source_url, '/', 4)::integer as n from core.media_assets) as a
join core.shows s on s.title = 'large gallery'
where a.n < 100000
order by a.n;

create temporary table open_photo as
select id, n / 3 as n from (select id, split_part(source_url, '/', 4)::integer as n from core.media_assets) as a
where n between 3 and 9002 and n % 3 = 0;

-- 1,000 photos failed: half of them wait for an attempt that is due.
update core.variant_generations g
set state = 'failed', reason = 'corrupt', detail = 'broken', attempts = 2,
    next_attempt_at = case when n % 2 = 0 then now() - interval '1 minute' end
from open_photo p where p.id = g.media_asset_id and g.kind = 'base' and p.n <= 1000;

update core.media_assets a set state = 'failed', reason = 'corrupt'
from open_photo p where p.id = a.id and p.n <= 1000 and p.n % 2 = 1;

-- 1,000 wait for their base set, 1,000 for an edited crop.
update core.variant_generations g set state = 'pending'
from open_photo p where p.id = g.media_asset_id and g.kind = 'base' and p.n between 1001 and 2000;

update core.variant_generations g set state = 'pending', wanted = repeat('e', 64)
from open_photo p where p.id = g.media_asset_id and g.kind = 'crop' and p.n between 2001 and 3000;

-- Batches that Dagster knows, but for a hundred; a hundred people whose seeds changed, a hundred photos that are gone.
update core.import_batches set announced_at = now();

insert into core.import_batches (key, source, day, number)
select '20260102-new-' || lpad(n::text, 5, '0'), 'new', '2026-01-02', n from generate_series(1, 100) as n;

update core.media_links set facebank_seed = true
where id in (select min(l.id::text)::uuid from core.media_links l
             join core.people p on p.id = l.person_id where p.full_name < '000020' group by l.person_id);

insert into core.facebank_imports (person_id, seed_version)
select id, 1 from core.people where full_name > 'A' order by full_name limit 100;

insert into core.facebank_removals (media_asset_id) select gen_random_uuid() from generate_series(1, 100);

vacuum analyze;
