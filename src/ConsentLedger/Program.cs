Console.WriteLine("ConsentLedger");
