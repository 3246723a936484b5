-- Why: a guardian who consented for a child has rights of their own. What names them is found by their own id, which is
-- keyed like everybody's; it comes out in their export and goes with their erasure.

alter table evidence add guardian_id uuid;
alter table sign_up add guardian_id uuid;
alter table erasure add kept_for_child boolean not null default false;
grant update (kept_for_child) on erasure to consentledger_purge;

create index evidence_by_guardian on evidence (guardian_id) where guardian_id is not null;
create index sign_up_by_guardian on sign_up (guardian_id) where guardian_id is not null;

comment on column evidence.guardian_id is 'The subscriber id of the guardian whom the evidence names by address; null for nobody.';
comment on column sign_up.guardian_id is 'The subscriber id of the guardian who is asked to confirm; null for nobody, and once it is confirmed or settled.';
comment on column erasure.kept_for_child is
    'All is done but what the records of a child say of the person, while a legal hold or a restriction keeps those.';
