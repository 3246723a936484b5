using ConsentLedger.Benchmarks;

return args switch
{
    ["checks", .. var rest] => await ChecksBenchmark.RunAsync(Arguments.Read(rest)),
    ["append", .. var rest] => await AppendBenchmark.RunAsync(Arguments.Read(rest)),
    ["import", .. var rest] => await ImportBenchmark.RunAsync(Arguments.Read(rest)),
    ["stream", .. var rest] => await StreamBenchmark.RunAsync(Arguments.Read(rest)),
    ["purge", .. var rest] => await PurgeBenchmark.RunAsync(Arguments.Read(rest)),
    ["beside", .. var rest] => await BesideBenchmark.RunAsync(Arguments.Read(rest)),
    ["export", ..] => await ExportBenchmark.RunAsync(),
    ["start", ..] => await StartBenchmark.RunAsync(),
    ["growth", .. var rest] => await GrowthBenchmark.RunAsync(Arguments.Read(["--subscribers", "10000000", .. rest])),
    ["send", var list, var url, var key] => await ImportBenchmark.SendAsync(list, url, key),
    ["floor", var connectionString, var url] => await FloorServer.RunAsync(connectionString, url),
    _ => Arguments.Help(),
};
