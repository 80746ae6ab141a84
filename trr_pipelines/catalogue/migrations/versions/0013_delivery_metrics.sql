-- How the archive delivers, one row per figure and day (UTC); of a day, the figures that were taken last.

-- `dimension` is what a figure is by (a source, a rendition key, a lane, ...), empty where it is of the whole archive.
create table core.delivery_metrics (
    day       date             not null,
    metric    text             not null,
    dimension text             not null default '',
    value     double precision not null,
    taken_at  timestamptz      not null default now(),
    constraint delivery_metrics_pkey primary key (day, metric, dimension),
    constraint delivery_metrics_value_finite check (value > '-infinity' and value < 'infinity')
);

-- What is open or failed, for whoever counts it every few seconds: it costs that, not what exists.
create index variant_generations_open_idx on core.variant_generations (state, kind) where state <> 'complete';
