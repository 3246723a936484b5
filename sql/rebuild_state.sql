-- Recomputes consent_state from the history and mends what differs. It is also the oracle: on a healthy database it
-- changes and removes nothing, whatever events arrived in whatever order, and a property test holds it to that.
--
-- State is the greatest (occurred_at, kind, event_id) of a subscriber and purpose: the newer event wins, and on a tie
-- the one that forbids, by the order of event_kind. The three facets at * are rows under the reserved purpose ids.
-- What was purged but must stay suppressed takes part like the event it came from.
--
-- Run it as consentledger_owner, in one transaction, with the lock below held so that no append lands between the
-- reading and the mending; checks go on meanwhile.

lock table consent_event in share mode;

with history as (
    select subscriber_id, purpose_id, kind, basis, occurred_at, expires_at, event_id
    from consent_event
    union all
    select subscriber_id, purpose_id, kind, basis, occurred_at, null, event_id
    from suppression
),
rebuilt as (
    select distinct on (subscriber_id, purpose_id)
        subscriber_id, purpose_id, kind, basis, occurred_at, expires_at, event_id
    from history
    order by subscriber_id, purpose_id, occurred_at desc, kind desc, event_id desc, expires_at nulls last
),
mended as (
    insert into consent_state as state
        (subscriber_id, purpose_id, kind, basis, occurred_at, expires_at, event_id)
    select subscriber_id, purpose_id, kind, basis, occurred_at, expires_at, event_id
    from rebuilt
    on conflict (subscriber_id, purpose_id) do update
    set kind = excluded.kind,
        basis = excluded.basis,
        occurred_at = excluded.occurred_at,
        expires_at = excluded.expires_at,
        event_id = excluded.event_id
    where (state.kind, state.basis, state.occurred_at, state.expires_at, state.event_id)
        is distinct from
        (excluded.kind, excluded.basis, excluded.occurred_at, excluded.expires_at, excluded.event_id)
    returning 1
),
removed as (
    delete from consent_state as state
    where not exists (
        select from rebuilt
        where rebuilt.subscriber_id = state.subscriber_id and rebuilt.purpose_id = state.purpose_id)
    returning 1
)
select
    (select count(*) from rebuilt) as states,
    (select count(*) from mended)  as mended,
    (select count(*) from removed) as removed;
