using Microsoft.AspNetCore.Components;

namespace ConsentLedger.Pages;

/// <summary>What the components of pages derive from: <c>@inherits PageBase</c>.</summary>
public abstract class PageBase : ComponentBase
{
    /// <summary>The request this answers.</summary>
    [CascadingParameter]
    public PageContext Page { get; set; } = null!;

    /// <summary>The words, in the language asked for.</summary>
    protected PageTexts T => Page.Texts;
}
