-- Alerts, and requests to do photos again with how they came out.

-- A condition that holds since `opened_at`, or a run that failed (then `resolved_at` is the same moment). `told` is what
-- the webhook has acknowledged of it, so a message is due while that is not what the row says.
create table core.alerts (
    id          bigint      not null generated always as identity,
    kind        text        not null,
    subject     text        not null default '',
    text        text        not null,
    figures     jsonb       not null default '{}',
    opened_at   timestamptz not null default now(),
    seen_at     timestamptz not null default now(),
    resolved_at timestamptz,
    told        text,
    told_at     timestamptz,
    attempts    integer     not null default 0,
    tried_at    timestamptz,
    problem     text,
    constraint alerts_pkey primary key (id),
    constraint alerts_told_known check (told in ('open', 'ended'))
);
comment on column core.alerts.subject is 'the run that failed; empty for conditions';
comment on column core.alerts.problem is 'why the webhook did not take the last message';
-- A condition is open once, however many look; a run fails once.
create unique index alerts_open_key on core.alerts (kind, subject) where resolved_at is null;
create unique index alerts_run_key on core.alerts (subject) where kind = 'run_failed';
create index alerts_due_idx on core.alerts (id) where told is distinct from 'ended';

-- When somebody last looked at all conditions: whoever reads the alerts knows by it whether they are still true.
create table core.watches (
    watcher    text        not null,
    first_at   timestamptz not null default now(),
    looked_at  timestamptz not null default now(),
    constraint watches_pkey primary key (watcher)
);

-- Photos that ended as failed, by when: what is counted as parked lately costs what failed lately.
create index variant_generations_parked_idx on core.variant_generations (updated_at)
    where state = 'failed' and next_attempt_at is null;

-- Work that was asked for again: by which filter, and each photo with the reason that it had failed for.
create table core.reprocess_requests (
    id         bigint      not null generated always as identity,
    state      text,
    reason     text,
    source     text,
    show       text,
    photos     integer     not null,
    author     text        not null,
    created_at timestamptz not null default now(),
    constraint reprocess_requests_pkey primary key (id),
    constraint reprocess_requests_photos_positive check (photos > 0)
);

create table core.reprocess_photos (
    request_id     bigint not null,
    media_asset_id uuid   not null,
    reason         text,
    constraint reprocess_photos_pkey primary key (request_id, media_asset_id),
    constraint reprocess_photos_request_id_fkey
        foreign key (request_id) references core.reprocess_requests (id) on delete cascade,
    constraint reprocess_photos_media_asset_id_fkey
        foreign key (media_asset_id) references core.media_assets (id) on delete cascade
);
create index reprocess_photos_media_asset_id_idx on core.reprocess_photos (media_asset_id);

-- Work that ended and matches: of failed photos what failed, otherwise everything but originals that stand. Written once
-- for its price and for asking; SQL of one statement, so that filters that are not given fall away when it is planned.
-- Without "parallel safe" no statement that reads it is planned in parallel, and takes twice as long in a million photos.
create function core.reprocessable(of_photo uuid, in_state text, for_reason text, from_source text, of_show uuid)
returns table (media_asset_id uuid, kind text, recipe text, reason text)
language sql stable parallel safe
begin atomic
    select g.media_asset_id, g.kind, g.recipe, g.reason
    from core.variant_generations g
    join core.media_assets a on a.id = g.media_asset_id
    where g.state in ('complete', 'failed') and (g.kind <> 'original' or g.state = 'failed')
      and (of_photo is null or a.id = of_photo)
      and (in_state is null or (in_state = 'failed' and g.state = 'failed') or (in_state <> 'failed' and a.state = in_state))
      and (for_reason is null or g.reason = for_reason)
      and (from_source is null or a.source = from_source)
      and (of_show is null or exists (
          select from core.media_links l
          left join core.seasons s on s.id = l.season_id
          where l.media_asset_id = a.id and of_show in (l.show_id, s.show_id)));
end;
