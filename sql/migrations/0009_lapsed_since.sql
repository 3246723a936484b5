-- Why: an expired event is dated when the consent was that it closes, so that a renewal which happened before the expiry
-- wins however late it is recorded. What ran out lapses from the instant it ran out, which is then its expires_at.

drop index consent_state_lapsed;
create index consent_state_lapsed on consent_state (purpose_id, coalesce(expires_at, occurred_at), subscriber_id)
    where kind in ('expired', 'invalidated', 'refused', 'withdrawn', 'revoked', 'objected') and purpose_id > 0;
