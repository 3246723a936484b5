using System.Text;
using ConsentLedger.Database;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Npgsql;
using NpgsqlTypes;

namespace ConsentLedger.Ledger;

/// <summary>An event as it is written: its plain columns, its commitment, and its personal parts sealed.</summary>
/// <param name="Event">What happened.</param>
/// <param name="Commitment">To it and its evidence.</param>
/// <param name="SealedAddress">The subscriber's; null where it is not to be kept.</param>
/// <param name="SealedEvidence">All of the evidence; null where there is none.</param>
/// <param name="GuardianId">Whom the evidence names as the guardian; null for nobody, or for somebody without an address.</param>
public sealed record LedgerRow(ConsentEvent Event, Commitment Commitment, byte[]? SealedAddress, byte[]? SealedEvidence, SubscriberId? GuardianId)
{
    /// <summary>Commits to an event and seals what is personal.</summary>
    public static LedgerRow Of(ConsentEvent @event, Address? address, Sealer sealer, SubscriberIds subscribers) => new(
        @event,
        Commitment.To(@event),
        address is null ? null : sealer.Seal(Encoding.UTF8.GetBytes(address.Given), AddressPlace(@event.SubscriberId)),
        @event.Evidence is null ? null : sealer.Seal(@event.Evidence.Canonical, EvidencePlace(@event.SubscriberId, @event.Id)),
        @event.Evidence?.GuardianAddress is { } guardian ? subscribers.Of(guardian) : null);

    /// <summary>Adds the seventeen arrays of the append statement, in its order.</summary>
    public static void AddTo(NpgsqlParameterCollection parameters, ReadOnlySpan<LedgerRow> rows)
    {
        Add(rows, static row => row.Event.SubscriberId.Value);
        Add(rows, static row => row.Event.Id.Value);
        Add(rows, static row => row.Event.Purpose.Value);
        Add(rows, static row => Label<EventKind>.Of(row.Event.Kind));
        Add(rows, static row => Label<Purposes.LawfulBasis>.Of(row.Event.Basis));
        Add(rows, static row => row.Event.NoticeVersion);
        Add(rows, static row => Label<SourceKind>.Of(row.Event.Source));
        Add(rows, static row => row.Event.OccurredAt.UtcDateTime);
        Add(rows, static row => row.Event.RecordedAt.UtcDateTime);
        Add(rows, static row => row.Event.ExpiresAt?.UtcDateTime);
        Add(rows, static row => row.Commitment.EvidenceDigest);
        Add(rows, static row => row.Commitment.Value);
        Add(rows, static row => row.Commitment.Opening);
        Add(rows, static row => row.SealedAddress);
        Add(rows, static row => row.SealedEvidence);
        Add(rows, static row => row.Commitment.EvidenceOpening);
        Add(rows, static row => row.GuardianId?.Value);

        void Add<T>(ReadOnlySpan<LedgerRow> rows, Func<LedgerRow, T> column)
        {
            var values = new T[rows.Length];
            for (var i = 0; i < values.Length; i++)
            {
                values[i] = column(rows[i]);
            }

            parameters.Add(new NpgsqlParameter<T[]> { TypedValue = values });
        }
    }

    /// <summary>Adds the same seventeen values of one row, each as a parameter.</summary>
    public void AddTo(NpgsqlParameterCollection parameters)
    {
        parameters.Add(new NpgsqlParameter<Guid> { TypedValue = Event.SubscriberId.Value });
        parameters.Add(new NpgsqlParameter<Guid> { TypedValue = Event.Id.Value });
        parameters.Add(new NpgsqlParameter<int> { TypedValue = Event.Purpose.Value });
        parameters.Add(new NpgsqlParameter<string> { TypedValue = Label<EventKind>.Of(Event.Kind) });
        parameters.Add(Optional(NpgsqlDbType.Text, Label<Purposes.LawfulBasis>.Of(Event.Basis)));
        parameters.Add(Optional(NpgsqlDbType.Integer, Event.NoticeVersion));
        parameters.Add(new NpgsqlParameter<string> { TypedValue = Label<SourceKind>.Of(Event.Source) });
        parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = Event.OccurredAt.UtcDateTime });
        parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = Event.RecordedAt.UtcDateTime });
        parameters.Add(Optional(NpgsqlDbType.TimestampTz, Event.ExpiresAt?.UtcDateTime));
        parameters.Add(Optional(NpgsqlDbType.Bytea, Commitment.EvidenceDigest));
        parameters.Add(new NpgsqlParameter<byte[]> { TypedValue = Commitment.Value });
        parameters.Add(new NpgsqlParameter<byte[]> { TypedValue = Commitment.Opening });
        parameters.Add(Optional(NpgsqlDbType.Bytea, SealedAddress));
        parameters.Add(Optional(NpgsqlDbType.Bytea, SealedEvidence));
        parameters.Add(Optional(NpgsqlDbType.Bytea, Commitment.EvidenceOpening));
        parameters.Add(Optional(NpgsqlDbType.Uuid, GuardianId?.Value));
    }

    /// <summary>How many values <see cref="WriteTo"/> writes.</summary>
    public const short Fields = 17;

    /// <summary>Writes the same seventeen values, in the same order, into a row that is begun.</summary>
    public void WriteTo(CopyRows rows)
    {
        rows.Write(Event.SubscriberId.Value);
        rows.Write(Event.Id.Value);
        rows.Write(Event.Purpose.Value);
        rows.Write(Label<EventKind>.Of(Event.Kind));
        rows.Write(Label<Purposes.LawfulBasis>.Of(Event.Basis));
        rows.Write(Event.NoticeVersion);
        rows.Write(Label<SourceKind>.Of(Event.Source));
        rows.Write(Event.OccurredAt);
        rows.Write(Event.RecordedAt);
        rows.Write(Event.ExpiresAt);
        rows.Write(Commitment.EvidenceDigest);
        rows.Write(Commitment.Value);
        rows.Write(Commitment.Opening);
        rows.Write(SealedAddress);
        rows.Write(SealedEvidence);
        rows.Write(Commitment.EvidenceOpening);
        rows.Write(GuardianId?.Value);
    }

    /// <summary>The address that was sealed for this subscriber.</summary>
    public static Address OpenAddress(byte[] box, SubscriberId subscriber, Sealer sealer) =>
        Address.Parse(Encoding.UTF8.GetString(sealer.Open(box, AddressPlace(subscriber))), provider: null);

    /// <summary>The evidence that was sealed for this event.</summary>
    public static Evidence OpenEvidence(byte[] box, SubscriberId subscriber, EventId id, Sealer sealer) =>
        Evidence.Read(sealer.Open(box, EvidencePlace(subscriber, id)));

    private static byte[] AddressPlace(SubscriberId subscriber) => SealedPlace.Of("subscriber", subscriber.Value);

    private static byte[] EvidencePlace(SubscriberId subscriber, EventId id) => SealedPlace.Of("evidence", subscriber.Value, id.Value);

    private static NpgsqlParameter Optional(NpgsqlDbType type, object? value) => new() { NpgsqlDbType = type, Value = value ?? DBNull.Value };
}
