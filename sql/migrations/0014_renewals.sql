-- Why: a consent that is good for a time runs out, and the person may not know. A purpose can have them told before it
-- does, once. That they were told is on record in the transaction of the mail that tells them, so that no crash and no
-- second instance tells them twice.

alter table purpose
    add column renewal_reminder interval,
    add constraint purpose_reminder_is_for_consents_by_mail check (
        renewal_reminder is null
        or channel = 'email' and basis in ('consent', 'explicit-consent') and consent_lifetime is not null);
comment on column purpose.renewal_reminder is
    'How long before a consent runs out its holder is asked to renew it; null for never.';

create table renewal_reminder (
    subscriber_id uuid        not null,
    purpose_id    integer     not null,
    expires_at    timestamptz not null,
    event_id      uuid        not null,
    reminded_at   timestamptz not null,
    constraint renewal_reminder_pk primary key (subscriber_id, purpose_id, expires_at)
);
comment on table renewal_reminder is
    'Somebody was told that a consent runs out: once for each time at which one does, however often it is said again.';
comment on column renewal_reminder.event_id is 'The event that the consent follows from; this row goes with it.';

grant select, insert on renewal_reminder to consentledger_service;
grant select, delete on renewal_reminder to consentledger_purge;
