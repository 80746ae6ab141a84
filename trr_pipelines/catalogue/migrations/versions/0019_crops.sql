-- Numbers of a crop are the middle of its frame.

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
       encode(sha256(convert_to(
           concat_ws('|', 'crop2', crop_mode, x, y, zoom, source_version), 'UTF8')), 'hex') as signature
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
