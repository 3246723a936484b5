namespace ConsentLedger.Http;

/// <summary>
/// The request being answered carries an Idempotency-Key. A handler that must act once and only once derives its ids
/// from this, and takes <see cref="FirstSeenAt"/> for its time: both are the same on every attempt, so that a retry
/// after a crash finds what the first attempt had already committed.
/// </summary>
/// <param name="KeyId">The API key that was shown; keys of two clients never meet.</param>
/// <param name="Key">What the client called the request.</param>
/// <param name="FirstSeenAt">When the first attempt came in. A key that is used again after a day has a new one.</param>
public sealed record IdempotentRequest(Guid KeyId, string Key, DateTimeOffset FirstSeenAt);
