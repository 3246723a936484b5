using System.Text.Json;
using System.Text.Json.Serialization;

namespace ConsentLedger.Client.Api;

/// <summary>Every route of the contract, generated from its OpenAPI document.</summary>
public partial class ConsentLedgerApi
{
    // What is not set is left out: some members can't be null.
    static partial void UpdateJsonSerializerSettings(JsonSerializerOptions settings) => settings.DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull;
}
