using System.Globalization;
using System.Net;
using System.Net.Sockets;
using ConsentLedger.Database;
using ConsentLedger.Tests.Hosting;
using Npgsql;

namespace ConsentLedger.Tests.Database;

public sealed class PostgresServerTests : IDisposable
{
    private const UnixFileMode OursAlone = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
    private readonly TemporaryDataDirectory data = new();

    [Fact]
    public async Task A_first_start_makes_a_cluster_that_stop_and_restart_keep_with_its_port()
    {
        string first;
        await using (var server = await data.StartAsync())
        {
            first = server.ConnectionString;
            server.IsEmbedded.ShouldBeTrue();
            server.Description.ShouldBe($"PostgreSQL {PgVersion()} (embedded, {data.Path}/postgres-{PgVersion()}, port {data.Postmaster!.Port})");
            await server.ExecuteAsync("create table kept (what text); insert into kept values ('ŵŷ')");
        }

        data.Postmaster.ShouldBeNull();

        await using var again = await data.StartAsync();
        again.ConnectionString.ShouldBe(first);
        (await again.ScalarAsync("select upper(what) from kept")).ShouldBe("ŴŶ");
    }

    [Fact]
    public async Task It_listens_on_loopback_only_with_checksums_and_a_password()
    {
        await using var server = await data.StartAsync(data.Options with { Durable = true });

        (await server.ScalarAsync("show listen_addresses")).ShouldBe("127.0.0.1");
        (await server.ScalarAsync("show unix_socket_directories")).ShouldBe("");
        (await server.ScalarAsync("show data_checksums")).ShouldBe("on");
        (await server.ScalarAsync("show fsync")).ShouldBe("on");
        (await server.ScalarAsync("show server_encoding")).ShouldBe("UTF8");
        (await server.ScalarAsync("select datcollate from pg_database where datname = current_database()")).ShouldBe("C");
        (await server.ScalarAsync("select string_agg(distinct auth_method, ',') from pg_hba_file_rules")).ShouldBe("scram-sha-256");
        var guess = new NpgsqlConnectionStringBuilder(server.ConnectionString) { Password = "postgres", Pooling = false };
        await using var stranger = new NpgsqlConnection(guess.ConnectionString);
        (await Should.ThrowAsync<PostgresException>(() => stranger.OpenAsync(TestContext.Current.CancellationToken))).SqlState
            .ShouldBe(PostgresErrorCodes.InvalidPassword);
    }

    [Fact]
    public async Task The_password_file_is_readable_by_us_alone()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows has no file modes.");
        await using var server = await data.StartAsync();

        if (!OperatingSystem.IsWindows())
        {
            File.GetUnixFileMode(Directory.GetFiles(data.Path, "*.password").ShouldHaveSingleItem())
                .ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);
        }

        Directory.GetFiles(Path.GetDirectoryName(data.Cluster)!, "*.new.password").ShouldBeEmpty();
    }

    [Fact]
    public async Task No_address_gets_into_the_log_of_PostgreSQL()
    {
        await using (var server = await data.StartAsync())
        {
            await Should.ThrowAsync<PostgresException>(() => server.ScalarAsync("select 'ada@example.org'::uuid"));
            await server.ExecuteAsync("create table once (address text primary key); insert into once values ('ada@example.org')");
            await Should.ThrowAsync<PostgresException>(() => server.ExecuteAsync("insert into once values ('ada@example.org')"));
            await Should.ThrowAsync<PostgresException>(
                () => server.ExecuteAsync("do $$ begin raise exception 'mail to %', 'ada@example.org'; end $$"));
        }

        var log = await File.ReadAllTextAsync(Path.Combine(data.Cluster, "postgres.log"), TestContext.Current.CancellationToken);
        log.ShouldContain("ready to accept connections");
        log.ShouldNotContain("ada@");
    }

    [Fact]
    public async Task A_second_user_joins_and_the_last_one_out_stops_it()
    {
        var first = await data.StartAsync();
        var second = await data.StartAsync();
        second.ConnectionString.ShouldBe(first.ConnectionString);

        await first.DisposeAsync();
        (await second.ScalarAsync("select 'here'")).ShouldBe("here");

        await using (var third = await data.StartAsync())
        {
            await second.DisposeAsync();
            third.IsRunning.ShouldBeTrue();
        }

        data.Postmaster.ShouldBeNull();
        first.IsRunning.ShouldBeFalse();
    }

    [Fact]
    public async Task Disposing_twice_gives_up_one_use_only()
    {
        await using var staying = await data.StartAsync();
        var leaving = await data.StartAsync();

        await leaving.DisposeAsync();
        await leaving.DisposeAsync();

        staying.IsRunning.ShouldBeTrue();
    }

    [Fact]
    public async Task The_lease_of_a_dead_process_keeps_nothing_running()
    {
        await using (await data.StartAsync())
        {
            await File.WriteAllTextAsync(Path.Combine(data.Path, "postgres-leases", "of-the-dead"), "", TestContext.Current.CancellationToken);
        }

        data.Postmaster.ShouldBeNull();
        Directory.GetFiles(Path.Combine(data.Path, "postgres-leases")).ShouldBeEmpty();
    }

    [Fact]
    public async Task Many_that_start_at_once_share_one_cluster()
    {
        var servers = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(data.StartAsync)));

        servers.Select(server => server.ConnectionString).Distinct().ShouldHaveSingleItem();
        await Task.WhenAll(servers.Select(server => server.DisposeAsync().AsTask()));
        data.Postmaster.ShouldBeNull();
    }

    [Theory]
    [InlineData("nobody's")]
    [InlineData("another program's")]
    public async Task A_pid_file_left_by_a_crash_is_no_obstacle(string owner)
    {
        await using (await data.StartAsync())
        {
        }

        var processId = owner == "nobody's" ? 4_000_000 : Environment.ProcessId;
        var left = string.Create(CultureInfo.InvariantCulture, $"{processId}\n{data.Cluster}\n1700000000\n5432\n\n127.0.0.1\n 1 1\nready\n");
        await File.WriteAllTextAsync(Path.Combine(data.Cluster, Postmaster.FileName), left, TestContext.Current.CancellationToken);
        data.Postmaster.ShouldBeNull();

        await using var server = await data.StartAsync();
        (await server.ScalarAsync("select 'here'")).ShouldBe("here");
    }

    [Fact]
    public async Task Joining_after_a_crash_keeps_the_port_that_the_others_know()
    {
        await using var staying = await data.StartAsync(data.Options with { Durable = true });
        data.KillPostmaster();

        await using var joining = await data.StartAsync(data.Options with { Durable = true });

        joining.ConnectionString.ShouldBe(staying.ConnectionString);
    }

    [Fact]
    public async Task After_everything_was_killed_committed_rows_are_there()
    {
        await using var killed = await data.StartAsync(data.Options with { Durable = true });
        await killed.ExecuteAsync("create table kept (what text); insert into kept values ('here')");
        data.KillPostmaster();

        await using var server = await data.StartAsync();
        (await server.ScalarAsync("select what from kept")).ShouldBe("here");
    }

    [Fact]
    public async Task A_port_that_someone_took_is_exchanged_for_another()
    {
        int port;
        await using (await data.StartAsync())
        {
            port = data.Postmaster!.Port;
        }

        using var squatter = new TcpListener(IPAddress.Loopback, port);
        squatter.Start();

        await using var server = await data.StartAsync();
        data.Postmaster!.Port.ShouldNotBe(port);
        (await server.ScalarAsync("select 'here'")).ShouldBe("here");
    }

    [Fact]
    public async Task A_cluster_of_another_major_version_is_refused_in_one_line_that_says_what_to_do()
    {
        var cluster = Directory.CreateDirectory(Path.Combine(data.Path, "postgres-11")).FullName;
        await File.WriteAllTextAsync(Path.Combine(cluster, "PG_VERSION"), "11\n", TestContext.Current.CancellationToken);

        var refused = await Should.ThrowAsync<StartupException>(data.StartAsync);

        refused.Message.ShouldStartWith($"The database in {cluster} was made by PostgreSQL 11, which is not installed (installed: ");
        refused.Message.ShouldContain("Install PostgreSQL 11, or move that folder away");
        refused.Message.ShouldNotContain("\n");
    }

    [Fact]
    public async Task A_cluster_that_cannot_start_says_why_and_where_to_look()
    {
        await using (await data.StartAsync())
        {
        }

        await File.AppendAllTextAsync(Path.Combine(data.Cluster, "postgresql.conf"), "nonsense = 1\n", TestContext.Current.CancellationToken);

        var failed = await Should.ThrowAsync<StartupException>(data.StartAsync);
        failed.Message.ShouldContain($"does not start in {data.Cluster}: ");
        failed.Message.ShouldContain("postgres.log");
        failed.Message.ShouldNotContain("\n");
    }

    [Fact]
    public async Task A_data_directory_beneath_a_folder_of_root_s_alone_has_its_cluster_elsewhere()
    {
        var inside = PathOfRootAlone();
        try
        {
            foreach (var _ in new[] { "first start", "restart" })
            {
                await using var server = await data.StartAsync(data.Options with { DataDirectory = inside });
                (await server.ScalarAsync("select 'here'")).ShouldBe("here");
            }

            var (cluster, name, _) = ClusterHome.FindCluster(inside).ShouldNotBeNull();
            cluster.ShouldStartWith("/var/lib/consentledger/clusters/");
            new DirectoryInfo(Path.Combine(inside, name)).LinkTarget.ShouldBe(cluster);
            if (!OperatingSystem.IsWindows())
            {
                File.GetUnixFileMode(Path.GetDirectoryName(inside)!).ShouldBe(OursAlone);
            }
        }
        finally
        {
            TemporaryDataDirectory.Remove(inside);
        }
    }

    [Fact]
    public async Task What_a_deleted_data_directory_left_elsewhere_is_stopped_and_set_aside()
    {
        var inside = PathOfRootAlone();
        try
        {
            await using var lost = await data.StartAsync(data.Options with { DataDirectory = inside });
            await lost.ExecuteAsync("create table of_old (what text)");
            Directory.Delete(inside, recursive: true);

            await using var server = await data.StartAsync(data.Options with { DataDirectory = inside });

            (await server.ScalarAsync("select count(*) from pg_tables where tablename = 'of_old'")).ShouldBe(0L);
            var aside = Directory.GetDirectories(Path.GetDirectoryName(ClusterHome.FindCluster(inside)!.Value.Folder)!, "*.left-*");
            Postmaster.Find(aside.ShouldHaveSingleItem()).ShouldBeNull();
        }
        finally
        {
            TemporaryDataDirectory.Remove(inside);
        }
    }

    [Fact]
    public async Task An_unreachable_server_is_named_in_one_line_without_the_password()
    {
        var options = data.Options with
        {
            ConnectionString = "Host=127.0.0.1;Port=1;Username=ledger;Password=hush-hush;Database=ledger",
            Patience = TimeSpan.Zero,
        };

        var failed = await Should.ThrowAsync<StartupException>(() => data.StartAsync(options));

        failed.Message.ShouldStartWith("PostgreSQL at 127.0.0.1:1 cannot be reached: ");
        failed.Message.ShouldNotContain("hush-hush");
        failed.Message.ShouldNotContain("\n");
    }

    [Fact]
    public async Task A_refused_login_and_an_unreadable_connection_string_are_told_apart_without_the_password()
    {
        await using var server = await data.StartAsync();
        var wrong = new NpgsqlConnectionStringBuilder(server.ConnectionString) { Password = "hush-hush" };

        var refused = await Should.ThrowAsync<StartupException>(() => data.StartAsync(data.Options with { ConnectionString = wrong.ConnectionString }));
        refused.Message.ShouldContain("refused the connection: password authentication failed");
        refused.Message.ShouldNotContain("hush-hush");

        var unreadable = await Should.ThrowAsync<StartupException>(
            () => data.StartAsync(data.Options with { ConnectionString = "Host=db;Password=hush;hush=1" }));
        unreadable.Message.ShouldStartWith("ConnectionStrings:Ledger is not a connection string of PostgreSQL");
        unreadable.Message.ShouldNotContain("hush");
    }

    [Fact]
    public async Task A_configured_server_is_used_as_it_is_and_never_stopped()
    {
        await using var own = await data.StartAsync();

        await using (var configured = await data.StartAsync(data.Options with { ConnectionString = own.ConnectionString }))
        {
            configured.IsEmbedded.ShouldBeFalse();
            configured.ConnectionString.ShouldBe(own.ConnectionString);
            configured.Description.ShouldBe($"PostgreSQL {PgVersion()} (127.0.0.1:{data.Postmaster!.Port}, database consentledger)");
        }

        own.IsRunning.ShouldBeTrue();
    }

    public void Dispose() => data.Dispose();

    private string PathOfRootAlone()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess && OperatingSystem.IsLinux(), "Only root runs PostgreSQL as another account.");
        var hidden = Path.Combine(data.Path, "hidden");
        if (!OperatingSystem.IsWindows())
        {
            Directory.CreateDirectory(hidden, OursAlone);
        }

        return Path.Combine(hidden, "data");
    }

    private string PgVersion() => File.ReadAllText(Path.Combine(data.Cluster, "PG_VERSION")).Trim();
}
