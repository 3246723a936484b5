namespace ConsentLedger.Pages;

/// <summary>
/// How the organisation that answers for the data is reached (UK GDPR Art 13(1)(a) and (b)), from
/// <c>ConsentLedger:Controller</c>. What is not set is not shown.
/// </summary>
/// <param name="Address">Its postal address.</param>
/// <param name="Email">Its e-mail address for questions about data.</param>
/// <param name="Phone">Its telephone number.</param>
/// <param name="DataProtectionOfficer">Its data protection officer, where it has one.</param>
/// <param name="RegistrationNumber">Its number in the ICO's register of fee payers.</param>
public sealed record ControllerContact(
    string? Address = null, string? Email = null, string? Phone = null, string? DataProtectionOfficer = null, string? RegistrationNumber = null)
{
    /// <summary>Reads the settings.</summary>
    public static ControllerContact Read(IConfiguration configuration)
    {
        var controller = configuration.GetSection("ConsentLedger:Controller");
        return new ControllerContact(
            Text("Address"), Text("Email"), Text("Phone"), Text("DataProtectionOfficer"), Text("RegistrationNumber"));

        string? Text(string name) => controller[name]?.Trim() is { Length: > 0 } text ? text : null;
    }
}
