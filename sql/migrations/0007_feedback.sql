-- Why: mail providers report bounces and complaints. A hard bounce or a complaint is an event like any other; soft bounces
-- are counted first, and Mailgun's tokens are remembered so that none of its signatures serves twice.

create table soft_bounce (
    subscriber_id uuid        not null,
    report_id     uuid        not null,
    occurred_at   timestamptz not null,
    cleared       boolean     not null default false,
    constraint soft_bounce_pk primary key (subscriber_id, report_id)
);
comment on column soft_bounce.cleared is 'A message got through since.';

create index soft_bounce_occurred on soft_bounce (occurred_at);

create table mailgun_token (
    token   bytea       not null,
    body    bytea       not null,
    used_at timestamptz not null,
    constraint mailgun_token_pk primary key (token)
);
comment on table mailgun_token is 'Keyed digests of a token and of the message it came with.';

create index mailgun_token_used on mailgun_token (used_at);

grant select, insert, update (cleared), delete on soft_bounce to consentledger_service;
-- Erasing a person takes the count along.
grant select, delete on soft_bounce to consentledger_purge;
grant select, insert, update (used_at), delete on mailgun_token to consentledger_service;
