namespace ConsentLedger.Purposes;

/// <summary>
/// The exact wording a person was shown for a purpose: versioned from 1, never changed, hashed (FACTS 26-27).
/// </summary>
/// <param name="Version">Counts from 1 within the purpose.</param>
/// <param name="Language">BCP 47 tag of the wording: <c>en</c>, <c>cy</c>.</param>
/// <param name="Statement">What was agreed to, word for word.</param>
/// <param name="PrivacyNoticeUrl">Where the full privacy notice was to be read.</param>
/// <param name="Digest"><c>sha256:</c> and the hash of the canonical JSON of language, privacyNoticeUrl and statement.</param>
/// <param name="PublishedAt">When it was published.</param>
public sealed record Notice(
    int Version, string Language, string Statement, string? PrivacyNoticeUrl, string Digest, DateTimeOffset PublishedAt);

/// <summary>A notice as it lies in the database, in the order of <see cref="Columns"/>, as Dapper needs it.</summary>
internal sealed record NoticeRow(
    int PurposeId, int Version, string Language, string Statement, string? PrivacyNoticeUrl, byte[] Digest, DateTimeOffset PublishedAt)
{
    public const string Columns = "purpose_id, version, language, statement, privacy_notice_url, digest, published_at";

    public Notice ToNotice() =>
        new(Version, Language, Statement, PrivacyNoticeUrl, "sha256:" + Convert.ToHexStringLower(Digest), PublishedAt);
}
