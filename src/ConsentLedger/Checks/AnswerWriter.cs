using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using ConsentLedger.Database;
using ConsentLedger.Ledger;

namespace ConsentLedger.Checks;

/// <summary>Writes what a list came to, a line an address, in the order given.</summary>
internal abstract class AnswerWriter
{
    /// <summary>What stands before the first line.</summary>
    public virtual void WriteHeader()
    {
    }

    /// <summary>Writes the next part of the list.</summary>
    public abstract void Write(CheckedList part);

    /// <summary>Writes the last line: that nothing is missing.</summary>
    public abstract void WriteSummary(ListSummary summary);
}

/// <summary>Writes NDJSON: an object a line, and last one with the only member <c>summary</c>.</summary>
internal sealed class NdJsonAnswerWriter(IBufferWriter<byte> output) : AnswerWriter
{
    private static readonly JsonWriterOptions Writing = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public override void Write(CheckedList part)
    {
        using var json = new Utf8JsonWriter(output, Writing);
        foreach (var (given, decision, url) in part.Results)
        {
            json.WriteStartObject();
            json.WriteString("address"u8, given);
            json.WriteBoolean("allowed"u8, decision.Allowed);
            json.WriteString("reason"u8, Label<CheckReason>.Of(decision.Reason));
            if (url is not null)
            {
                json.WriteString("unsubscribeUrl"u8, url);
            }

            json.WriteEndObject();
            EndLine(json);
        }
    }

    public override void WriteSummary(ListSummary summary)
    {
        using var json = new Utf8JsonWriter(output, Writing);
        json.WriteStartObject();
        json.WriteStartObject("summary"u8);
        json.WriteNumber("received"u8, summary.Received);
        json.WriteNumber("allowed"u8, summary.Allowed);
        json.WriteNumber("denied"u8, summary.Denied);
        json.WriteNumber("invalid"u8, summary.Invalid);
        json.WriteEndObject();
        json.WriteEndObject();
        EndLine(json);
    }

    private void EndLine(Utf8JsonWriter json)
    {
        json.Flush();
        json.Reset();
        output.Write("\n"u8);
    }
}

/// <summary>
/// Writes CSV (RFC 4180). The address stands as it was given, so that it can be matched; nothing is put in front of one
/// that a spreadsheet might take for a formula, because it would be another address then. A cell that starts with
/// <c>#</c> is quoted, so no line but the summary starts with that character.
/// </summary>
/// <param name="output">Where to.</param>
/// <param name="links">Whether there is a column for the unsubscribe link.</param>
/// <param name="allowedOnly">Leaves out who may not be written to, and with them the columns that say so.</param>
internal sealed class CsvAnswerWriter(IBufferWriter<byte> output, bool links, bool allowedOnly = false) : AnswerWriter
{
    private static readonly SearchValues<char> Quoted = SearchValues.Create(",\"\r\n\t '");

    public override void WriteHeader()
    {
        output.Write("address"u8);
        output.Write(allowedOnly ? [] : ",allowed,reason"u8);
        output.Write(links ? ",unsubscribeUrl\n"u8 : "\n"u8);
    }

    public override void Write(CheckedList part)
    {
        foreach (var (given, decision, url) in part.Results)
        {
            if (allowedOnly && !decision.Allowed)
            {
                continue;
            }

            WriteCell(given);
            if (!allowedOnly)
            {
                output.Write(decision.Allowed ? ",true,"u8 : ",false,"u8);
                Encoding.UTF8.GetBytes(Label<CheckReason>.Of(decision.Reason), output);
            }

            if (links)
            {
                output.Write(","u8);
                WriteCell(url);
            }

            output.Write("\n"u8);
        }
    }

    public override void WriteSummary(ListSummary summary) =>
        Encoding.UTF8.GetBytes(
            string.Create(
                CultureInfo.InvariantCulture,
                $"#summary,received={summary.Received},allowed={summary.Allowed},denied={summary.Denied},invalid={summary.Invalid}\n"),
            output);

    private void WriteCell(string? text)
    {
        if (string.IsNullOrEmpty(text))
        {
            return;
        }

        if (text[0] != '#' && !text.AsSpan().ContainsAny(Quoted))
        {
            Encoding.UTF8.GetBytes(text, output);
            return;
        }

        output.Write("\""u8);
        Encoding.UTF8.GetBytes(text.Replace("\"", "\"\"", StringComparison.Ordinal), output);
        output.Write("\""u8);
    }
}
