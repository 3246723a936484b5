using ConsentLedger.Tests.Database;
using Npgsql;

namespace ConsentLedger.Tests.Hosting;

public sealed class TestDatabaseTests(TestDatabase database)
{
    [Fact]
    public async Task A_clone_has_the_rows_of_its_template_and_is_a_database_of_its_own()
    {
        var template = await database.CreateDatabaseAsync(null);
        await ServerQueries.ScalarAsync(template, "create table kept (what text); insert into kept values ('here')");

        var name = new NpgsqlConnectionStringBuilder(template).Database;
        var clones = await Task.WhenAll(database.CreateDatabaseAsync(name), database.CreateDatabaseAsync(name));

        await ServerQueries.ScalarAsync(clones[0], "delete from kept");
        (await ServerQueries.ScalarAsync(clones[1], "select what from kept")).ShouldBe("here");
    }
}
