-- Why: a certificate was made from the records of its run each time it was asked for, which takes minutes for millions, and
-- said nothing of events recorded while the run went on, nor of a run that failed after it had deleted. It is made and signed
-- once, as the run ends.

alter table purge_run
    add column certificate bytea,
    add column certificate_signature text,
    add constraint purge_run_certificate_is_signed check ((certificate is null) = (certificate_signature is null)),
    add constraint purge_run_certificate_of_what_finished check (certificate is null or finished_at is not null and not dry_run);
comment on column purge_run.certificate is 'What the run deleted, in canonical form (RFC 8785), as it was signed. Holds counts, times, positions and a digest.';
comment on column purge_run.certificate_signature is 'Ed25519, in base64: what somebody changed in the database does not verify any more.';
