-- Backfills: batches worked through in an order, a few at a time, behind live work.

-- Photos of a batch in the lane `backfill` have no work in the ledger until a run begins with it: sensors that look for
-- pending work pay nothing for an archive of millions that waits.
alter table core.import_batches
    add column lane text not null default 'live',
    add constraint import_batches_lane_known check (lane in ('live', 'backfill'));

create table core.backfills (
    id              bigint           not null generated always as identity,
    state           text             not null default 'running',
    ordering        text             not null,
    source          text,
    galleries       uuid[]           not null default '{}',
    gallery_photos  integer          not null default 0,
    photos          integer          not null,
    bytes           bigint           not null,
    planned_seconds double precision not null,
    active_seconds  double precision not null default 0,
    ticked_at       timestamptz,
    author          text             not null,
    created_at      timestamptz      not null default now(),
    ended_at        timestamptz,
    constraint backfills_pkey primary key (id),
    constraint backfills_state_known check (state in ('running', 'paused', 'complete', 'cancelled')),
    constraint backfills_ordering_known check (ordering in ('recency', 'hot', 'source')),
    constraint backfills_ended check ((state in ('complete', 'cancelled')) = (ended_at is not null))
);
comment on column core.backfills.galleries is 'galleries whose photos come before all batches; emptied when they are done';
comment on column core.backfills.photos is 'photos with open work when it was started';
comment on column core.backfills.active_seconds is 'time in which it was fed: neither paused nor outside its hours';
create index backfills_active_idx on core.backfills (id) where state in ('running', 'paused');

-- `photos` is what was open when somebody last counted.
create table core.backfill_batches (
    backfill_id bigint      not null,
    position    integer     not null,
    batch_key   text        not null,
    photos      integer     not null,
    state       text        not null default 'waiting',
    not_before  timestamptz,
    constraint backfill_batches_pkey primary key (backfill_id, position),
    constraint backfill_batches_backfill_id_fkey
        foreign key (backfill_id) references core.backfills (id) on delete cascade,
    constraint backfill_batches_batch_key_fkey foreign key (batch_key) references core.import_batches (key),
    constraint backfill_batches_state_known check (state in ('waiting', 'fed', 'done', 'parked', 'dropped'))
);
-- A batch is in one backfill at a time.
create unique index backfill_batches_active_key on core.backfill_batches (batch_key) where state in ('waiting', 'fed');
create index backfill_batches_next_idx on core.backfill_batches (backfill_id, position) where state in ('waiting', 'fed');

-- What runs of batches rendered in which time: estimates rest on it.
create table core.render_rates (
    run_id      text             not null,
    photos      integer          not null,
    seconds     double precision not null,
    recorded_at timestamptz      not null default now(),
    constraint render_rates_pkey primary key (run_id),
    constraint render_rates_positive check (photos > 0 and seconds > 0)
);
create index render_rates_recorded_at_idx on core.render_rates (recorded_at);
