using System.Text.Json;
using ConsentLedger.Ledger;
using ConsentLedger.Security;

namespace ConsentLedger.Events;

/// <summary>
/// Reads NDJSON records: an object a line with the members that CSV has as columns. <c>evidence</c> is an object, or
/// its members are named <c>evidence.*</c>, or both.
/// </summary>
internal sealed class NdJsonRecordReader : IRecordReader
{
    private static readonly JsonDocumentOptions Strict = new() { MaxDepth = 16, AllowDuplicateProperties = false };

    public bool Recognises(ReadOnlyMemory<byte> record)
    {
        try
        {
            using var document = JsonDocument.Parse(record);
            return document.RootElement.ValueKind == JsonValueKind.Object;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    public string? Read(ReadOnlyMemory<byte> record, ImportRow row)
    {
        try
        {
            using var document = JsonDocument.Parse(record, Strict);
            return document.RootElement.ValueKind == JsonValueKind.Object
                ? document.RootElement.EnumerateObject().Select(member => Read(member, row)).FirstOrDefault(problem => problem is not null)
                : "The line is not a JSON object.";
        }
        catch (JsonException)
        {
            return "The line is not a JSON object, or names a member twice.";
        }
        catch (InvalidOperationException)
        {
            return "The line holds half a surrogate pair.";
        }
    }

    private static string? Read(JsonProperty member, ImportRow row)
    {
        if (member.Value.ValueKind == JsonValueKind.Null)
        {
            return null;
        }

        if (member.NameEquals("evidence"))
        {
            return ReadEvidence(member.Value, row);
        }

        if (ImportRow.EvidenceMember(member.Name) is { } name)
        {
            return ScalarOf(member.Value) is not { } value ? "A member of the evidence is of the wrong type."
                : row.AddEvidence(name, value) ? null
                : "The evidence names a member twice.";
        }

        var column = ImportRow.ColumnOf(member.Name);
        if (column < 0)
        {
            return "The line has a member that there is no column for.";
        }

        var text = member.Value.ValueKind switch
        {
            JsonValueKind.String => member.Value.GetString(),
            JsonValueKind.Number when member.NameEquals("noticeVersion") => member.Value.GetRawText(),
            _ => null,
        };
        row.Set(column, text);
        return text is null ? "A member is of the wrong type." : text.Contains('\0', StringComparison.Ordinal) ? "The line holds the NUL character." : null;
    }

    private static string? ReadEvidence(JsonElement evidence, ImportRow row)
    {
        if (!Evidence.TryRead(evidence, out var members, out var problem))
        {
            return problem;
        }

        foreach (var (name, value) in members)
        {
            if (!row.AddEvidence(name, value))
            {
                return "The evidence names a member twice.";
            }
        }

        return null;
    }

    private static object? ScalarOf(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String when value.GetString() is var text && !text!.Contains('\0', StringComparison.Ordinal) => text,
        JsonValueKind.Number when value.TryGetInt64(out var integer) && Math.Abs(integer) <= CanonicalJson.LargestInteger => integer,
        JsonValueKind.True or JsonValueKind.False => value.GetBoolean(),
        _ => null,
    };
}
