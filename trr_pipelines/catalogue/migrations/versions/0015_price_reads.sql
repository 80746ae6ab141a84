-- As in 0012, by named photos, those of a show among them, in place of one photo or one show. It says the bytes of the
-- original, which a price would otherwise look up in all originals, and that only what failed has a reason, so that the
-- index of what is open or failed finds it.
drop function core.reprocessable(uuid, text, text, text, uuid);
create function core.reprocessable(of_photos uuid[], in_state text, for_reason text, from_source text)
returns table (media_asset_id uuid, kind text, recipe text, reason text, bytes bigint)
language sql stable parallel safe
begin atomic
    select g.media_asset_id, g.kind, g.recipe, g.reason, a.bytes
    from core.variant_generations g
    join core.media_assets a on a.id = g.media_asset_id
    where g.state in ('complete', 'failed') and (g.kind <> 'original' or g.state = 'failed')
      and (of_photos is null or g.media_asset_id = any(of_photos))
      and (in_state is null or (in_state = 'failed' and g.state = 'failed') or (in_state <> 'failed' and a.state = in_state))
      and (for_reason is null or (g.state = 'failed' and g.reason = for_reason))
      and (from_source is null or a.source = from_source);
end;
