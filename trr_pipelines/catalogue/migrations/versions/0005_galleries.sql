-- Galleries: what the links of a page are chosen by, and the orders in which pages are read.

-- Joins are left joins on whole unique keys, and the crop (whose key is partial) a subquery: so a query pays for those
-- tables only whose columns it uses.
create view core.v_gallery as
select l.id as link_id, l.entity_id, l.season_id, l.media_asset_id, l.kind, l.position, l.caption, l.tags,
       l.facebank_seed, l.facebank_seed_changed_by, l.facebank_seed_changed_at, l.created_at,
       a.source, a.state,
       -- Before the original is mirrored there is no ledger row of its derivatives.
       coalesce(base.state, case a.state when 'failed' then 'failed' else 'pending' end) as base_state,
       coalesce(a.reason, base.reason, crop.reason) as reason,
       (select c.crop_mode from core.media_asset_crops c
        where c.media_asset_id = l.media_asset_id and c.is_active) as crop_mode
from core.media_links l
left join core.media_assets a on a.id = l.media_asset_id
left join core.variant_generations base on base.media_asset_id = l.media_asset_id and base.kind = 'base'
left join core.variant_generations crop on crop.media_asset_id = l.media_asset_id and crop.kind = 'crop';

-- With a kind the order by position has media_links_entity_idx already.
create index media_links_position_idx on core.media_links (entity_id, position, id);
create index media_links_newest_idx on core.media_links (entity_id, created_at, id);
