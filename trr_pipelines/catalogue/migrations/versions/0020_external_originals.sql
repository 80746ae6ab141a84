-- Originals of another program, read where they are, in a bucket that may be shared with it.

-- An external original is an object that another program wrote: `hosted_bucket`, `hosted_key` and `hosted_url` are as that
-- program has them, before the original is read as well as after it. Nothing of ours writes, lists or deletes it, except a
-- takedown that is asked to.
alter table core.media_assets add column is_external boolean not null default false;
alter table core.media_asset_versions add column is_external boolean not null default false;
create index media_assets_external_idx on core.media_assets (hosted_key) where is_external;

-- What a takedown leaves to another program, or deletes as well when it is asked to: {bucket, key, url} of each object.
-- Kept as long as `hosted_keys`.
alter table core.takedowns
    add column external_objects jsonb   not null default '[]',
    add column deletes_external boolean not null default false;
drop index core.takedowns_keys_idx;
create index takedowns_keys_idx on core.takedowns (taken_down_at)
    where hosted_keys <> '{}' or external_objects <> '[]';

-- Whether another program has objects in this bucket. It stays true when its last photo is gone: objects that no row
-- names may still be that program's.
alter table core.store_epochs add column is_shared boolean not null default false;
