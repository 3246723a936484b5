-- Why: a mail is queued in the transaction of what it is about, so that there is neither one without the other, and
-- delivered afterwards, however long the mail server is away.

create type mail_status as enum ('waiting', 'sent', 'poison');

create table mail_outbox (
    subscriber_id   uuid        not null,
    mail_id         uuid        not null,
    kind            text        not null,
    message_id      text        not null,
    recipient       bytea,
    content         bytea,
    status          mail_status not null default 'waiting',
    attempts        integer     not null default 0,
    next_attempt_at timestamptz not null,
    smtp_code       integer,
    created_at      timestamptz not null,
    finished_at     timestamptz,
    constraint mail_outbox_pk primary key (subscriber_id, mail_id),
    constraint mail_outbox_waiting_is_whole check (
        (status = 'waiting') = (recipient is not null) and (status = 'waiting') = (content is not null)
        and (status = 'waiting') = (finished_at is null))
);
comment on column mail_outbox.subscriber_id is 'The holder of the address it goes to; so the limit on mails to one address is one index range.';
comment on column mail_outbox.kind is 'What it is: confirmation, already-subscribed. Nothing personal.';
comment on column mail_outbox.message_id is 'Made once, so that a mail that is sent twice after a crash is recognised as one.';
comment on column mail_outbox.recipient is 'Sealed; gone once the mail is sent or set aside.';
comment on column mail_outbox.content is 'Sealed; gone once the mail is sent or set aside.';
comment on column mail_outbox.next_attempt_at is 'When it is due; while an instance is sending it, when that one is given up for dead.';
comment on column mail_outbox.smtp_code is 'The last refusal of the mail server, without its words: those may repeat the address.';

create index mail_outbox_due on mail_outbox (next_attempt_at, mail_id) where status = 'waiting';
create index mail_outbox_unsent on mail_outbox (status, mail_id) where status <> 'sent';
create index mail_outbox_finished on mail_outbox (finished_at) where status <> 'waiting';

grant select, insert, update, delete on mail_outbox to consentledger_service;
-- Erasing a person takes the mails to them along.
grant select, delete on mail_outbox to consentledger_purge;
