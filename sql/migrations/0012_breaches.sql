-- Why: every breach of personal data is logged, reported or not, with its causes, what happened, what it touched, what it
-- meant, what was done and why it was or was not reported (Article 33(5)); and the 72 hours run from the moment somebody
-- became aware of it.

create table breach (
    breach_id     uuid        not null,
    aware_at      timestamptz not null,
    report_due_at timestamptz not null,
    reportable    boolean,
    reported_at   timestamptz,
    people_told_at timestamptz,
    account       bytea       not null,
    created_at    timestamptz not null,
    updated_at    timestamptz not null,
    constraint breach_pk primary key (breach_id),
    constraint breach_report_due_in_72_hours check (report_due_at = aware_at + interval 'PT72H'),
    constraint breach_reported_was_reportable check (reported_at is null or reportable is true)
);
comment on column breach.reportable is 'Null while it has not been decided.';
comment on column breach.account is 'Sealed: causes, events, data, impact, remedy and reasons. Such accounts name people.';

create index breach_by_awareness on breach (aware_at, breach_id);

grant select, insert, update on breach to consentledger_service;

-- Holds are looked at again: one that nobody needs any more keeps what should have gone.
alter table legal_hold add column review_at timestamptz;
create index legal_hold_review on legal_hold (review_at, subscriber_id) where review_at is not null;
