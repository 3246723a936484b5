using System.Text.Json.Serialization;
using ConsentLedger.Database;

namespace ConsentLedger.Security;

/// <summary>Who does something that the <see cref="AuditTrail"/> records. An actor is an account or a role, never an address.</summary>
/// <param name="Kind">What kind it is.</param>
/// <param name="KeyId">Of <see cref="ActorKind.Key"/>: the key.</param>
/// <param name="Verb">Of <see cref="ActorKind.Command"/>: the verb.</param>
/// <param name="RequestId">The request in which it is done, as the service's log names it; null outside of one.</param>
public sealed record Actor(ActorKind Kind, Guid? KeyId, string? Verb, string? RequestId)
{
    /// <summary>The service by itself: the schedule.</summary>
    public static readonly Actor Service = new(ActorKind.Service, null, null, null);

    /// <summary>Whoever runs a verb on the machine.</summary>
    public static Actor OfCommand(string verb) => new(ActorKind.Command, null, verb, null);
}

/// <summary>What kind of actor.</summary>
[JsonConverter(typeof(LabelJsonConverter<ActorKind>))]
public enum ActorKind
{
    /// <summary>Whoever holds an API key.</summary>
    Key,

    /// <summary>Whoever runs a verb on the machine itself.</summary>
    Command,

    /// <summary>A subscriber, by a signed link that was mailed to their address.</summary>
    Subject,

    /// <summary>Whoever opened the set-up link of a new installation.</summary>
    SetUpLink,

    /// <summary>The service by itself.</summary>
    Service,
}
