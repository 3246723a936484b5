using System.Buffers.Binary;
using System.Globalization;
using System.Numerics;
using System.Security.Cryptography;
using System.Text;
using ConsentLedger.Choices;
using ConsentLedger.Http;
using ConsentLedger.Security;
using Dapper;
using Npgsql;

namespace ConsentLedger.SignUps;

/// <summary>
/// A little work that a form asks of the browser before it takes a sign-up: a number that makes the SHA-256 of
/// <c>{challenge}.{number}</c> begin with so many zero bits. A person does not notice; whoever sends by the thousand pays
/// a thousand times.
/// </summary>
/// <param name="Text">What the browser is given.</param>
/// <param name="Bits">How many bits have to be zero; none for one that a person without JavaScript answers by pressing a button.</param>
/// <param name="ExpiresAt">Until when an answer is taken.</param>
/// <param name="Salt">What makes it unlike any other.</param>
/// <remarks>
/// A <see cref="SignedToken"/> of salt 12, expiry in Unix seconds 4 and bits 1; its kind names the form. With a dot and
/// seven digits it is 55 characters, which is as much as SHA-256 takes in one block.
/// </remarks>
internal sealed record Challenge(string Text, int Bits, DateTimeOffset ExpiresAt, byte[] Salt)
{
    private const int SaltLength = 12;
    private const int ContentLength = SaltLength + 4 + 1;
    private const int MaxDigits = 7;

    /// <summary>True for one that asks for no work.</summary>
    public bool IsByHand => Bits == 0;

    /// <summary>A new one. Nothing is kept of it until it is answered.</summary>
    public static Challenge For(Form form, int bits, DateTimeOffset expiresAt, KeyRing keys)
    {
        Span<byte> content = stackalloc byte[ContentLength];
        RandomNumberGenerator.Fill(content[..SaltLength]);
        BinaryPrimitives.WriteUInt32BigEndian(content[SaltLength..], (uint)expiresAt.ToUnixTimeSeconds());
        content[^1] = (byte)bits;
        return Read(SignedToken.Sign(Kind(form), content, keys), content);
    }

    /// <summary>Reads one that this installation made for this form, expired or not; false for anything else.</summary>
    public static bool TryVerify(string? text, Form form, KeyRing keys, out Challenge challenge)
    {
        Span<byte> content = stackalloc byte[ContentLength];
        var verified = SignedToken.TryVerify(Kind(form), text, keys, content);
        challenge = verified ? Read(text!, content) : null!;
        return verified;
    }

    /// <summary>True if this number solves it.</summary>
    public bool IsSolvedBy(string? number)
    {
        if (IsByHand)
        {
            return true;
        }

        if (number is not { Length: > 0 and <= MaxDigits } || !number.All(char.IsAsciiDigit))
        {
            return false;
        }

        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(Encoding.ASCII.GetBytes($"{Text}.{number}"), hash);
        return BitOperations.LeadingZeroCount(BinaryPrimitives.ReadUInt32BigEndian(hash)) >= Bits;
    }

    private static Challenge Read(string text, ReadOnlySpan<byte> content) => new(
        text,
        content[^1],
        DateTimeOffset.FromUnixTimeSeconds(BinaryPrimitives.ReadUInt32BigEndian(content[SaltLength..])),
        content[..SaltLength].ToArray());

    // A form's key is longer than a kind may be; no other kind begins like this.
    private static byte[] Kind(Form form) => [.. "challenge "u8, .. SHA256.HashData(Encoding.ASCII.GetBytes(form.Key)).AsSpan(0, 16)];
}

/// <summary>Makes challenges, and takes each answer once.</summary>
/// <remarks>
/// Who has no JavaScript can't work, and is not turned away for it: such a person is shown the form once more, with a
/// challenge that asks for no work, and presses the button again. A program can do that too, so that way is open to a
/// handful a network only (<see cref="ByHandLimit"/>): what guards it is the count and not the step, which only keeps out
/// what posts blindly. A script has no such way, because it can work.
/// </remarks>
internal sealed class Challenges(NpgsqlDataSource database, KeyRing keys, ByHandLimit byHand, TimeProvider clock)
{
    /// <summary>How much work one is: 32,768 hashes on average, some tenth of a second on a phone.</summary>
    public const int Bits = 15;

    /// <summary>How long an answer is taken.</summary>
    public static readonly TimeSpan Lifetime = TimeSpan.FromMinutes(30);

    // Two instances' clocks may differ; one of them must not forget what the other still takes.
    private static readonly TimeSpan Remembered = TimeSpan.FromHours(1);

    /// <summary>A new one to work on.</summary>
    public Challenge Make(Form form) => Challenge.For(form, Bits, clock.GetUtcNow() + Lifetime, keys);

    /// <summary>A new one that asks for no work.</summary>
    public Challenge MakeByHand(Form form) => Challenge.For(form, 0, clock.GetUtcNow() + Lifetime, keys);

    /// <summary>
    /// Takes an answer. That it was used is durable before this says that it counts, on every instance, and before the
    /// sign-up is: a crash in between costs the visitor another try, and never lets one answer count twice.
    /// </summary>
    public async Task<ChallengeAnswer> TakeAsync(Form form, SignUpInput input, HttpContext context, CancellationToken cancellation)
    {
        if (string.IsNullOrEmpty(input.Challenge))
        {
            return ChallengeAnswer.Missing;
        }

        if (!Challenge.TryVerify(input.Challenge, form, keys, out var challenge))
        {
            return ChallengeAnswer.Foreign;
        }

        if (challenge.ExpiresAt <= clock.GetUtcNow())
        {
            return ChallengeAnswer.Expired;
        }

        if (!challenge.IsSolvedBy(input.Solution))
        {
            return ChallengeAnswer.Unsolved;
        }

        if (challenge.IsByHand && byHand.Take(context) is { } busy)
        {
            context.Response.Headers.RetryAfter = string.Create(CultureInfo.InvariantCulture, $"{Math.Ceiling(busy.RetryAfter!.Value.TotalSeconds):0}");
            return ChallengeAnswer.TooMany;
        }

        await using var connection = await database.OpenConnectionAsync(cancellation);
        var taken = await connection.ExecuteAsync(new CommandDefinition(
            "insert into used_challenge (expires_at, salt) values (@ExpiresAt, @Salt) on conflict (expires_at, salt) do nothing",
            challenge,
            cancellationToken: cancellation));
        return taken == 1 ? ChallengeAnswer.Counts : ChallengeAnswer.Used;
    }

    /// <summary>Forgets those that nobody would take any more.</summary>
    public static Task DeleteOutlivedAsync(NpgsqlConnection connection, DateTimeOffset now, CancellationToken cancellation) =>
        connection.ExecuteAsync(new CommandDefinition(
            "delete from used_challenge where expires_at < @outlived", new { outlived = now - Remembered }, cancellationToken: cancellation));

    /// <summary>What a program is told about an answer that does not count.</summary>
    public static string Explain(ChallengeAnswer answer, Form form) => answer switch
    {
        ChallengeAnswer.Missing => $"This form asks for some work first: GET /signup/{form.Key}/challenge, and send challenge and solution along.",
        ChallengeAnswer.Foreign => "This is not a challenge of this form.",
        ChallengeAnswer.Expired => string.Create(CultureInfo.InvariantCulture, $"This challenge has expired: answer within {Lifetime.TotalMinutes:0} minutes."),
        ChallengeAnswer.Used => "This challenge was used already; each counts once.",
        _ => "The solution does not solve the challenge.",
    };
}

/// <summary>What an answer to a challenge is worth.</summary>
internal enum ChallengeAnswer
{
    /// <summary>It counts, this once.</summary>
    Counts,

    /// <summary>There is none.</summary>
    Missing,

    /// <summary>The challenge was not made here, or for another form.</summary>
    Foreign,

    /// <summary>The challenge is too old.</summary>
    Expired,

    /// <summary>The solution is none.</summary>
    Unsolved,

    /// <summary>It was counted before.</summary>
    Used,

    /// <summary>It was answered by hand, as too many were on this network.</summary>
    TooMany,
}

/// <summary>How many sign-ups one network may send without the work that a form asks for: five in ten minutes.</summary>
internal sealed class ByHandLimit : IDisposable
{
    private readonly NetworkLimit limit = new(5, TimeSpan.FromMinutes(10), "by-hand");

    /// <summary>Counts one; the refusal if there were too many.</summary>
    public Problem? Take(HttpContext context) => limit.Take(context.Connection.RemoteIpAddress, context.Response);

    public void Dispose() => limit.Dispose();
}
