using ConsentLedger.Verbs;

return await CommandVerbs.RunAsync(args);
