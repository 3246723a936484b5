using System.Reflection;
using System.Text;
using Microsoft.AspNetCore.Components;
using Microsoft.AspNetCore.Components.Web;

namespace ConsentLedger.Pages;

/// <summary>
/// Answers with a page: a component rendered once, on the server, whole before the first byte is sent.
/// </summary>
/// <remarks>
/// It renders with <see cref="HtmlRenderer"/> alone. <c>AddRazorComponents</c> would bring anti-forgery tokens, their
/// cookie, and data protection keys on the disk, and a one-click POST carries no context to check (FACTS 3).
/// </remarks>
public sealed class PageResult : IResult, IStatusCodeHttpResult
{
    private readonly Type component;
    private readonly object? parameters;
    private readonly int status;

    private PageResult(Type component, object? parameters, int status)
    {
        this.component = component;
        this.parameters = parameters;
        this.status = status;
    }

    /// <summary>Answers with this page.</summary>
    /// <typeparam name="TPage">The page. It is not in the result's type: what the compiler makes of routes can't see pages.</typeparam>
    /// <param name="parameters">The page's parameters, as an object with members of their names; null for none.</param>
    /// <param name="status">The status to answer with.</param>
    public static PageResult Of<TPage>(object? parameters = null, int status = StatusCodes.Status200OK)
        where TPage : IComponent => new(typeof(TPage), parameters, status);

    /// <inheritdoc />
    public int? StatusCode => status;

    /// <inheritdoc />
    public async Task ExecuteAsync(HttpContext httpContext)
    {
        var services = httpContext.RequestServices;
        var page = new PageContext(httpContext);
        var values = parameters?.GetType().GetProperties(BindingFlags.Public | BindingFlags.Instance)
            .Where(member => member.GetValue(parameters) is not null)
            .ToDictionary(member => member.Name, member => member.GetValue(parameters)!, StringComparer.Ordinal);
        await using var renderer = new HtmlRenderer(services, services.GetRequiredService<ILoggerFactory>());
        var html = await renderer.Dispatcher.InvokeAsync(async () =>
        {
            var root = await renderer.RenderComponentAsync<PageRoot>(ParameterView.FromDictionary(new Dictionary<string, object?>
            {
                [nameof(PageRoot.Page)] = page,
                [nameof(PageRoot.Component)] = component,
                [nameof(PageRoot.Parameters)] = values,
            }));
            return root.ToHtmlString();
        });

        var response = httpContext.Response;
        var bytes = Encoding.UTF8.GetBytes(html);
        response.StatusCode = status;
        response.ContentType = "text/html; charset=utf-8";
        response.ContentLength = bytes.Length;
        response.Headers.ContentLanguage = page.Texts.Language;
        response.Headers.Vary = "Accept-Language";
        PageHeaders.Set(httpContext);
        if (!HttpMethods.IsHead(httpContext.Request.Method))
        {
            await response.Body.WriteAsync(bytes, httpContext.RequestAborted);
        }
    }
}
