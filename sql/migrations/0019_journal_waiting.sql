-- Why: after a restore the journal may speak of purposes that were made since the back-up. What it says of them waits there
-- until there is a purpose of that name again, so that nobody who has unsubscribed from it is written to.

create table journal_waiting (
    purpose_key text not null,
    constraint journal_waiting_pk primary key (purpose_key)
);
comment on table journal_waiting is
    'Purposes that the journal speaks of and that are not known. Once one is made, the journal is read again for what it says of it.';

grant select, insert, delete on journal_waiting to consentledger_service;
