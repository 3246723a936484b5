using ConsentLedger.Database;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Subscribers;
using ConsentLedger.Tests.Hosting;
using LedgerEventId = ConsentLedger.Ledger.EventId;

namespace ConsentLedger.Tests.Ledger;

public sealed class DecisionTests
{
    private static readonly DateTimeOffset Now = TestService.Start;

    /// <summary>
    /// State in words: <c>given</c>, <c>given expired</c> for the purpose; <c>objection older|same|newer</c> than it;
    /// <c>suppressed</c>, <c>released</c>, <c>restricted</c>, <c>unrestricted</c>; <c>ended</c>; a basis. Nothing else is known.
    /// </summary>
    [Theory]
    [InlineData("", "unknown")]
    [InlineData("requested", "pending")]
    [InlineData("given", "given")]
    [InlineData("renewed", "renewed")]
    [InlineData("permitted", "permitted")]
    [InlineData("refused", "refused")]
    [InlineData("withdrawn", "withdrawn")]
    [InlineData("revoked", "revoked")]
    [InlineData("expired", "expired")]
    [InlineData("invalidated", "invalidated")]
    [InlineData("objected", "objected")]
    [InlineData("given expired", "expired")]
    [InlineData("renewed expired", "expired")]
    [InlineData("permitted expired", "expired")]
    [InlineData("given expires-now", "expired")]
    [InlineData("given expires-later", "given")]
    [InlineData("given expires-later ended", "purpose-ended")]
    [InlineData("given ends-now", "purpose-ended")]
    [InlineData("given ends-later", "given")]
    [InlineData("ended", "purpose-ended")]
    [InlineData("objection", "objected")]
    [InlineData("given objection-newer", "objected")]
    [InlineData("given objection-same", "objected")]
    [InlineData("given objection-older", "given")]
    [InlineData("renewed objection-older", "renewed")]
    [InlineData("permitted objection-older", "objected")]
    [InlineData("requested objection-older", "pending")]
    [InlineData("withdrawn objection-older", "withdrawn")]
    [InlineData("given expired objection-older", "expired")]
    [InlineData("given objection-newer ended", "purpose-ended")]
    [InlineData("given suppressed", "suppressed")]
    [InlineData("suppressed", "suppressed")]
    [InlineData("given released", "given")]
    [InlineData("given suppressed ended objection-newer", "suppressed")]
    [InlineData("given restricted", "restricted")]
    [InlineData("restricted suppressed ended objection-newer", "restricted")]
    [InlineData("given unrestricted", "given")]
    [InlineData("given unrestricted suppressed", "suppressed")]
    [InlineData("service", "service")]
    [InlineData("service given", "service")]
    [InlineData("service requested", "service")]
    [InlineData("service given expired", "service")]
    [InlineData("service permitted objection-newer", "service")]
    [InlineData("service objection", "service")]
    [InlineData("service withdrawn", "withdrawn")]
    [InlineData("service refused", "refused")]
    [InlineData("service revoked", "revoked")]
    [InlineData("service objected", "objected")]
    [InlineData("service invalidated", "invalidated")]
    [InlineData("service suppressed", "suppressed")]
    [InlineData("service restricted", "restricted")]
    [InlineData("service ended", "purpose-ended")]
    [InlineData("legitimate-interests", "unknown")]
    [InlineData("legitimate-interests permitted", "permitted")]
    [InlineData("soft-opt-in permitted objection-older", "objected")]
    [InlineData("soft-opt-in given objection-older", "given")]
    public void A_check_has_one_reason(string known, string reason)
    {
        var decision = Decide(known.Split(' ', StringSplitOptions.RemoveEmptyEntries));
        Label<CheckReason>.Of(decision.Reason).ShouldBe(reason);
        decision.Allowed.ShouldBe(reason is "given" or "renewed" or "permitted" or "service");
    }

    [Fact]
    public void In_every_combination_what_forbids_everything_comes_first()
    {
        string?[] purposes = [null, "requested", "given", "renewed", "permitted", "refused", "withdrawn", "revoked", "expired", "invalidated", "objected", "given expired"];
        string?[] objections = [null, "objection-older", "objection-same", "objection-newer"];
        string?[] suppressions = [null, "suppressed", "released"];
        string?[] restrictions = [null, "restricted", "unrestricted"];
        string?[] endings = [null, "ended", "ends-later"];
        string?[] bases = [null, "service", "legitimate-interests", "charitable-soft-opt-in"];
        var count = 0;
        foreach (var words in from purpose in purposes
                              from objection in objections
                              from suppression in suppressions
                              from restriction in restrictions
                              from ending in endings
                              from basis in bases
                              select new[] { purpose, objection, suppression, restriction, ending, basis })
        {
            var known = words.OfType<string>().SelectMany(word => word.Split(' ')).ToArray();
            var decision = Decide(known);
            var said = string.Join(' ', known);
            if (known.Contains("restricted"))
            {
                decision.ShouldBe(Decision.Deny(CheckReason.Restricted), said);
            }
            else if (known.Contains("suppressed"))
            {
                decision.ShouldBe(Decision.Deny(CheckReason.Suppressed), said);
            }
            else if (known.Contains("ended"))
            {
                decision.ShouldBe(Decision.Deny(CheckReason.PurposeEnded), said);
            }
            else if (!known.Contains("service") && (known.Contains("objection-newer") || known.Contains("objection-same")))
            {
                decision.ShouldBe(Decision.Deny(CheckReason.Objected), said);
            }

            if (decision.Allowed && decision.Reason != CheckReason.Service)
            {
                known.ShouldContain(Label<CheckReason>.Of(decision.Reason), said);
                known.ShouldNotContain("expired", said);
            }

            count++;
        }

        count.ShouldBe(12 * 4 * 3 * 3 * 3 * 4);
    }

    [Fact]
    public void An_expiry_takes_effect_at_its_instant_and_only_on_what_permits()
    {
        foreach (var kind in Enum.GetValues<EventKind>())
        {
            var state = State(1, kind, Now.AddDays(-1), Now);
            state.StatusAt(Now.AddTicks(-1)).ShouldBe(kind);
            state.StatusAt(Now).ShouldBe(kind.Permits() ? EventKind.Expired : kind);
        }
    }

    [Theory]
    [InlineData(LawfulBasis.SoftOptIn, CheckReason.Objected)]
    [InlineData(LawfulBasis.LegitimateInterests, CheckReason.Objected)]
    [InlineData(LawfulBasis.Consent, CheckReason.Expired)]
    public void What_an_objection_had_voided_stays_objected_to_once_it_is_on_record_that_it_ran_out(LawfulBasis basis, CheckReason reason)
    {
        var state = default(SubscriberState)
            .With(State(0, EventKind.Objected, Now.AddDays(-3), null))
            .With(State(7, EventKind.Expired, Now.AddDays(-1), null) with { Basis = basis });

        state.Decide(new PurposeTerms(new PurposeId(7), "newsletter", Channel.Email, LawfulBasis.Consent, null), Now).ShouldBe(Decision.Deny(reason));
    }

    private static Decision Decide(string[] known)
    {
        var since = Now.AddDays(-2);
        var state = default(SubscriberState);
        var basis = LawfulBasis.Consent;
        DateTimeOffset? endsAt = null;
        var expiresAt =
            known.Contains("expires-now") ? Now
            : known.Contains("expires-later") ? Now.AddTicks(1)
            : known.Contains("expired") && known.Length > 1 ? Now.AddTicks(-1)
            : (DateTimeOffset?)null;
        foreach (var word in known)
        {
            if (Label<LawfulBasis>.TryParse(word, out var said))
            {
                basis = said;
            }
            else if (word is "suppressed" or "released")
            {
                state = state.With(State(-1, Label<EventKind>.Parse(word), since, null));
            }
            else if (word is "restricted" or "unrestricted")
            {
                state = state.With(State(-2, Label<EventKind>.Parse(word), since, null));
            }
            else if (word.StartsWith("objection", StringComparison.Ordinal))
            {
                var at = word switch { "objection-older" => since.AddTicks(-10), "objection-same" => since, _ => since.AddTicks(10) };
                state = state.With(State(0, EventKind.Objected, at, null));
            }
            else if (word is "ended" or "ends-now" or "ends-later")
            {
                endsAt = word switch { "ended" => Now.AddDays(-1), "ends-now" => Now, _ => Now.AddTicks(1) };
            }
            else if (state.Purpose is null && Label<EventKind>.TryParse(word, out var kind))
            {
                state = state.With(State(7, kind, since, expiresAt));
            }
        }

        return state.Decide(new PurposeTerms(new PurposeId(7), "newsletter", Channel.Email, basis, endsAt), Now);
    }

    private static ConsentState State(int purpose, EventKind kind, DateTimeOffset since, DateTimeOffset? expiresAt) =>
        new(new PurposeId(purpose), kind, LawfulBasis.Consent, since, expiresAt, LedgerEventId.New(since));
}
