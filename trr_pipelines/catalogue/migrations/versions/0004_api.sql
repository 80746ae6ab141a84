-- What the API adds: who changed what, answers kept for requests that are sent again, and who set a seed.

-- Every change that somebody made, old and new values beside each other. Nothing here is ever changed; a takedown
-- leaves its row, which holds ids and no names.
create table core.audit_log (
    id          bigint      not null generated always as identity,
    at          timestamptz not null default now(),
    actor       text        not null,
    caller      text        not null,
    action      text        not null,
    entity_kind text        not null,
    entity_id   text        not null,
    old         jsonb,
    new         jsonb,
    request_id  text        not null default '',
    constraint audit_log_pkey primary key (id)
);
create index audit_log_entity_idx on core.audit_log (entity_kind, entity_id, id);

-- The answer to a request that named a key: sent again, it is answered again and not done again.
create table core.idempotency_keys (
    caller       text        not null,
    key          text        not null,
    request_hash text        not null,
    status       integer     not null,
    answer       jsonb       not null,
    created_at   timestamptz not null default now(),
    constraint idempotency_keys_pkey primary key (caller, key)
);
create index idempotency_keys_created_at_idx on core.idempotency_keys (created_at);

alter table core.media_links
    add column facebank_seed_changed_by text,
    add column facebank_seed_changed_at timestamptz,
    add constraint media_links_seed_change_is_whole
        check ((facebank_seed_changed_by is null) = (facebank_seed_changed_at is null));

-- What is linked to a person, for the face bank. A photo that is not mirrored has no hosted_url.
create view core.v_person_gallery as
select l.id as link_id, l.person_id, l.media_asset_id, l.kind, l.position, l.caption, l.tags,
       l.facebank_seed, l.facebank_seed_changed_by, l.facebank_seed_changed_at,
       a.source, a.state, a.sha256, a.bytes, a.width, a.height, a.format,
       case when a.state = 'mirrored' then a.hosted_key end as hosted_key,
       case when a.state = 'mirrored' then a.hosted_url end as hosted_url,
       greatest(l.updated_at, a.updated_at) as updated_at
from core.media_links l
join core.media_assets a on a.id = l.media_asset_id
where l.person_id is not null;

create index media_links_person_idx on core.media_links (person_id, id) where person_id is not null;
create index media_links_seeds_idx on core.media_links (person_id, id) where facebank_seed;
