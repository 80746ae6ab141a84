-- Numbers of a crop are the middle of its frame; a link can have a crop of its own.

-- Numbers ------------------------------------------------------------------------------------------------------------

-- The identity of a crop on an original, as in `imaging/signature.py`.
create function core.crop_signature(mode text, x numeric, y numeric, zoom numeric, source_version text)
returns text language sql immutable strict parallel safe
return encode(sha256(convert_to(
    concat_ws('|', 'crop2', mode, round(x, 3), round(y, 3), round(zoom, 3), source_version), 'UTF8')), 'hex');

-- Until now crop_x and crop_y were CSS `object-position`: the frame began at that share of the space beside it. Now they
-- are the middle of the frame in percent of the photo's sides. Every crop keeps its frame under new numbers and a new
-- signature. Numbers have three decimals instead of four, which moves a frame by at most a 200,000th of a side; on a side
-- that the frame fills, the number stays. `is_same` is false where the zoom is another one, because it was above 4 or had
-- a fourth decimal: the frame keeps its middle, and its files have to be rendered again.
create temporary table changed_crops on commit drop as
with crop as (
    select media_asset_id, crop_signature, crop_mode, crop_x, crop_y, crop_zoom, source_version
    from core.media_asset_crops
    union
    select media_asset_id, crop_signature, crop_mode, crop_x, crop_y, crop_zoom, source_version
    from core.media_asset_variants where crop_signature <> ''
), sided as (
    -- The photo has the decoded size of its current original, an earlier version that of its header.
    select crop.*,
           case when a.sha256 = crop.source_version then a.width else coalesce(v.width, a.width, 4) end::numeric as width,
           case when a.sha256 = crop.source_version then a.height else coalesce(v.height, a.height, 5) end::numeric
               as height
    from crop
    join core.media_assets a on a.id = crop.media_asset_id
    left join core.media_asset_versions v on v.media_asset_id = a.id and v.sha256 = crop.source_version
), framed as (
    select sided.*, least(width, height * 0.8) / crop_zoom as frame_width,
           least(width, height * 0.8) / crop_zoom * 1.25 as frame_height
    from sided
), numbered as (
    select framed.*,
           round(case when width = frame_width then crop_x
                      else ((width - frame_width) * crop_x + 50 * frame_width) / width end, 3) as x,
           round(case when height = frame_height then crop_y
                      else ((height - frame_height) * crop_y + 50 * frame_height) / height end, 3) as y,
           least(round(crop_zoom, 3), 4.000) as zoom
    from framed
)
select media_asset_id, crop_signature as old_signature, x, y, zoom, zoom = crop_zoom as is_same,
       core.crop_signature(crop_mode, x, y, zoom, source_version) as signature
from numbered;
create index on changed_crops (media_asset_id, old_signature);
analyze changed_crops;

-- The sets that have the frame of the new signature: one for each, the served one first.
create temporary table kept_sets on commit drop as
select distinct on (c.media_asset_id, c.signature) c.media_asset_id, c.old_signature, c.signature
from changed_crops c
join core.media_asset_variants v on v.media_asset_id = c.media_asset_id and v.crop_signature = c.old_signature
left join core.variant_generations g on g.media_asset_id = c.media_asset_id and g.kind = 'crop'
where c.is_same
order by c.media_asset_id, c.signature, coalesce(g.served = c.old_signature, false) desc, v.superseded_at desc nulls first,
         v.id desc;
create index on kept_sets (media_asset_id, old_signature);
analyze kept_sets;

update core.media_asset_crops crop
set crop_x = c.x, crop_y = c.y, crop_zoom = c.zoom, crop_signature = c.signature
from changed_crops c
where c.media_asset_id = crop.media_asset_id and c.old_signature = crop.crop_signature;

-- Objects keep their keys. A set of another frame keeps its old signature, and is served until the new one is rendered.
update core.media_asset_variants v
set crop_x = c.x, crop_y = c.y, crop_zoom = trunc(v.crop_zoom, 3), crop_signature = coalesce(k.signature, v.crop_signature)
from changed_crops c
left join kept_sets k on k.media_asset_id = c.media_asset_id and k.old_signature = c.old_signature
where c.media_asset_id = v.media_asset_id and c.old_signature = v.crop_signature;

with work as (
    select g.media_asset_id, coalesce(c.signature, g.wanted) as wanted, coalesce(k.signature, g.served) as served
    from core.variant_generations g
    left join changed_crops c on c.media_asset_id = g.media_asset_id and c.old_signature = g.wanted
    left join kept_sets k on k.media_asset_id = g.media_asset_id and k.old_signature = g.served
    where g.kind = 'crop' and (g.wanted <> '' or g.served <> '')
)
update core.variant_generations g
set wanted = work.wanted, served = work.served, version = g.version + 1, lease_until = null,
    state = case when g.state = 'complete' and work.wanted <> work.served then 'pending' else g.state end,
    updated_at = case when work.wanted <> work.served then now() else g.updated_at end
from work
where g.media_asset_id = work.media_asset_id and g.kind = 'crop';

alter table core.media_asset_crops
    drop constraint media_asset_crops_zoom_range,
    alter column crop_x type numeric(6, 3),
    alter column crop_y type numeric(6, 3),
    alter column crop_zoom type numeric(4, 3),
    add constraint media_asset_crops_zoom_range check (crop_zoom between 1 and 4);
alter table core.media_asset_variants
    alter column crop_x type numeric(6, 3),
    alter column crop_y type numeric(6, 3),
    alter column crop_zoom type numeric(4, 3);

-- Crops of links ------------------------------------------------------------------------------------------------------

alter table core.media_assets add column proposes_crop boolean not null default true;
comment on column core.media_assets.proposes_crop is 'whether a crop is proposed when the photo has no active one';

-- The application allows several links of a photo in one gallery; ours are unique.
alter table core.media_links
    add column is_external    boolean       not null default false,
    add column crop_mode      text,
    add column crop_x         numeric(6, 3),
    add column crop_y         numeric(6, 3),
    add column crop_zoom      numeric(4, 3),
    add column crop_signature text,
    add column served_crop    text,
    drop constraint media_links_media_asset_id_entity_id_kind_key,
    add constraint media_links_crop_is_whole check (num_nulls(crop_mode, crop_x, crop_y, crop_zoom) in (0, 4)),
    add constraint media_links_crop_mode_known check (crop_mode in ('auto', 'manual')),
    add constraint media_links_crop_in_range check (
        crop_x between 0 and 100 and crop_y between 0 and 100 and crop_zoom between 1 and 4),
    add constraint media_links_crop_signature_sha256 check (crop_signature ~ '^[0-9a-f]{64}$'),
    add constraint media_links_only_crops_are_signed check (
        crop_mode is not null or (crop_signature is null and served_crop is null));
comment on column core.media_links.is_external is 'a link of the application, under its id there';
comment on column core.media_links.crop_signature is 'of the own crop; null until the bytes of the original are known';
comment on column core.media_links.served_crop is 'signature of the last complete set of the own crop';
create unique index media_links_media_asset_id_entity_id_kind_key on core.media_links (media_asset_id, entity_id, kind)
    where not is_external;
-- Links of a photo; and filters of galleries read the photos of all links of a gallery from it alone.
create index media_links_media_asset_id_idx on core.media_links (media_asset_id, entity_id, kind)
    include (is_external, crop_mode);

-- Crop sets that are served, or wanted: of the active crop, and of links with a crop of their own.
create view core.crops_in_use as
select media_asset_id, wanted as crop_signature from core.variant_generations where kind = 'crop' and wanted <> ''
union all
select media_asset_id, served from core.variant_generations where kind = 'crop' and served <> ''
union all
select media_asset_id, crop_signature from core.media_links where crop_signature is not null
union all
select media_asset_id, served_crop from core.media_links where served_crop is not null;

-- As in 0016, with the crops of links.
create or replace view core.listed_in_use as
select l.* from core.removal_list l
where exists (select from core.media_asset_versions o
              where o.hosted_key = l.hosted_key and o.hosted_bucket = l.hosted_bucket)
   or exists (select from core.media_asset_variants v
              where v.hosted_key = l.hosted_key
                and (v.superseded_at is null
                     or exists (select from core.crops_in_use used
                                where used.media_asset_id = v.media_asset_id
                                  and used.crop_signature = v.crop_signature)));
drop function core.is_wanted;

-- Whether an edit of a crop waits for its files: of the active crop, once one was served, or of a link.
create function core.has_edited_crop(photo_id uuid, wanted text, served text) returns boolean
language sql stable parallel safe
return (served <> '' and wanted <> served)
    or exists (select from core.media_links l
               where l.media_asset_id = photo_id and l.crop_signature is distinct from l.served_crop
                 and l.crop_signature is not null);

-- As in 0017, with edited crops of links.
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
where (g.asked_at is not null
       or (b.lane = 'live'
           and not exists (
               select from core.backfill_batches i where i.batch_key = a.batch_key and i.state in ('waiting', 'fed'))
           and not exists (
               select from core.dispatches d
               where d.scope = 'batch:' || a.batch_key and d.not_before > now() + interval '1 year'))
       or (g.kind = 'crop' and core.has_edited_crop(g.media_asset_id, g.wanted, g.served)))
  and (g.kind <> 'crop' or exists (
      select from core.variant_generations base
      where base.media_asset_id = g.media_asset_id and base.kind = 'base' and base.state = 'complete'));

-- As in 0005. `crop_mode` is that of the crop that the link shows: its own, or the photo's active one, which a link of the
-- application never shows.
create or replace view core.v_gallery as
select l.id as link_id, l.entity_id, l.season_id, l.media_asset_id, l.kind, l.position, l.caption, l.tags,
       l.facebank_seed, l.facebank_seed_changed_by, l.facebank_seed_changed_at, l.created_at,
       a.source, a.state,
       coalesce(base.state, case a.state when 'failed' then 'failed' else 'pending' end) as base_state,
       coalesce(a.reason, base.reason, crop.reason) as reason,
       coalesce(l.crop_mode, case when not l.is_external then (
           select c.crop_mode from core.media_asset_crops c
           where c.media_asset_id = l.media_asset_id and c.is_active) end) as crop_mode,
       l.is_external, l.crop_mode as own_mode, l.crop_x as own_x, l.crop_y as own_y, l.crop_zoom as own_zoom,
       l.crop_signature as own_signature, l.served_crop as own_served
from core.media_links l
left join core.media_assets a on a.id = l.media_asset_id
left join core.variant_generations base on base.media_asset_id = l.media_asset_id and base.kind = 'base'
left join core.variant_generations crop on crop.media_asset_id = l.media_asset_id and crop.kind = 'crop';

-- Photos with a manual crop, active or of a link; both are looked up in small indexes.
create index media_links_manual_crop_idx on core.media_links (media_asset_id) where crop_mode = 'manual';
create view core.manual_crops as
select media_asset_id from core.media_asset_crops where is_active and crop_mode = 'manual'
union all
select media_asset_id from core.media_links where crop_mode = 'manual';

-- As in 0011, with the crops of links.
create or replace function core.gallery_links(
    of_kind text, with_tags text[], is_seed boolean, with_text text, of_source text, in_state text, for_reason text,
    with_crop text
) returns setof core.v_gallery language sql stable as $$
    select * from core.v_gallery l
    where (of_kind is null or l.kind = of_kind)
      and (with_tags is null or l.tags @> with_tags)
      and (is_seed is null or l.facebank_seed = is_seed)
      and (with_text is null
           or strpos(lower(l.caption || ' ' || array_to_string(l.tags, ' ')), lower(with_text)) > 0)
      and (of_source is null or l.source = of_source)
      and (in_state is null or in_state in (l.state, l.base_state))
      and (for_reason is null or l.reason = for_reason)
      and (with_crop is null or coalesce(l.crop_mode, 'none') = with_crop)
      -- What is rare is looked up in the indexes above, before anything else is read of a photo.
      and (in_state is distinct from 'failed' and for_reason is null
           or exists (select from core.media_assets a where a.id = l.media_asset_id and a.state = 'failed')
           or exists (select from core.variant_generations g
                      where g.media_asset_id = l.media_asset_id and g.state = 'failed'))
      and (with_crop is distinct from 'manual'
           or exists (select from core.manual_crops m where m.media_asset_id = l.media_asset_id))
$$;
