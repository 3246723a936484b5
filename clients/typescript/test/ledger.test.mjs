// Runs against a live service. Whoever starts it has set the scene: ada may be written to for "newsletter", bob has
// withdrawn, and the form "website" may stand on https://museum.example. The key may check and sign people up.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { ConsentLedger, LedgerError, requirePermission } from "../dist/index.js";

const url = process.env.CONSENTLEDGER_URL;
const key = process.env.CONSENTLEDGER_KEY;
const ledger = new ConsentLedger({ url, key });

test("A check is a permission or nothing", async () => {
  const permission = await ledger.check("ada@museum.example", "newsletter");
  assert.equal(permission.reason, "given");
  assert.deepEqual(permission.headers, {
    "List-Unsubscribe": `<${permission.unsubscribeUrl}>`,
    "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    "List-Id": "<newsletter.consent.example>",
  });
  requirePermission(permission, "ada@museum.example");
  assert.equal(await ledger.check("bob@museum.example", "newsletter"), undefined);
  assert.equal((await ledger.ask("bob@museum.example", "newsletter")).reason, "withdrawn");
  assert.equal((await ledger.ask("no address", "newsletter")).reason, "invalid-address");
});

test("What is no answer is an error that shows no address", async () => {
  const strangers = new ConsentLedger({ url, key: "clk_nobody" });
  const nowhere = new ConsentLedger({ url: "http://127.0.0.1:9", key });
  for (const [asked, purpose, status] of [[ledger, "nothing", 404], [strangers, "newsletter", 401], [nowhere, "newsletter", undefined]]) {
    for (const ask of [() => asked.check("ada@museum.example", purpose), () => all(asked.checkMany(["ada@museum.example"], purpose))]) {
      await assert.rejects(ask, (error) => error instanceof LedgerError && error.status === status && !`${error.stack} ${error.cause}`.includes("ada@"));
    }
  }
});

test("Nothing that stands between makes a permission", async () => {
  const bodies = [
    "<html>Log in to the guests' network</html>", "", "{}", "null", "17", '{"allowed":true}', '{"allowed":"true","reason":"given","purpose":"newsletter"}',
    '{"allowed":true,"reason":"given","purpose":"another"}', '{"allowed":true,"reason":"given","purp',
  ];
  for (const body of bodies) {
    for (const status of [200, 302, 503]) {
      const between = standIn(() => new Response(body, { status, headers: { "Content-Type": "application/json" } }));
      assert.equal(await between.check("ada@museum.example", "newsletter").catch((error) => assert.ok(error instanceof LedgerError)), undefined, `${status} ${body}`);
    }
  }
});

test("An answer that takes too long is none", async () => {
  const slow = standIn((request, { signal }) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))));
  await assert.rejects(slow.check("ada@museum.example", "newsletter"), LedgerError);

  const stalls = createServer((_, response) => {
    response.writeHead(200, { "Content-Type": "application/json" });
    response.write('{"allowed":true,"reason":"given","purpose":"newsletter"');
  });
  await new Promise((resolve) => stalls.listen(0, "127.0.0.1", resolve));
  const stalled = new ConsentLedger({ url: `http://127.0.0.1:${stalls.address().port}`, timeout: 200 });
  await assert.rejects(stalled.check("ada@museum.example", "newsletter"), LedgerError);
  stalls.closeAllConnections();
  stalls.close();
});

test("A list that was cut or mixed up permits nothing", async () => {
  const line = (who, allowed) => JSON.stringify({ address: `${who}@museum.example`, allowed, reason: allowed ? "given" : "withdrawn" }) + "\n";
  const summary = (received, allowed) => JSON.stringify({ summary: { received, allowed, denied: 1, invalid: 0 } }) + "\n";
  const asked = ["a@museum.example", "b@museum.example"];
  const whole = line("a", true) + line("b", false) + summary(2, 1);
  assert.equal((await all(standIn(() => new Response(whole)).checkMany(asked, "newsletter"))).length, 2);
  for (const body of [
    line("a", true) + line("b", false), line("a", true) + '{"address":"b@', line("a", true) + summary(1, 1), line("b", false) + line("a", true) + summary(2, 1),
    line("a", true) + line("b", true) + summary(2, 1), line("a", true) + line("b", false) + line("a", true) + summary(3, 2), whole + line("a", true), whole.trimEnd(), "",
  ]) {
    const handed = [];
    await assert.rejects(async () => {
      for await (const verdict of standIn(() => new Response(body)).checkMany(asked, "newsletter")) handed.push(verdict);
    }, LedgerError, body);
    assert.deepEqual(handed, []);
  }
});

test("A list of any length is answered in its order, and no further than it is read", async () => {
  const asked = Array.from({ length: 25_000 }, (_, n) => (n === 7 || n === 20_007 ? "ada@museum.example" : n % 1000 === 3 ? `line\n${n}` : `a${n}@museum.example`));
  const verdicts = await all(ledger.checkMany(asked, "newsletter"));
  assert.deepEqual(verdicts.map((verdict) => verdict.address), asked);
  assert.deepEqual(verdicts.flatMap((verdict, n) => (verdict.permission ? [n] : [])), [7, 20_007]);
  assert.equal(verdicts.filter((verdict) => verdict.reason === "invalid-address").length, 25);

  let read = 0;
  async function* endless() {
    for (;;) yield `a${read++}@museum.example`;
  }
  for await (const verdict of ledger.checkMany(endless(), "newsletter")) {
    assert.equal(verdict.reason, "unknown");
    break;
  }
  assert.ok(read < 20_000);
});

test("Only the ledger makes a permission, for one address and for now", async (context) => {
  const permission = await ledger.check("ada@museum.example", "newsletter");
  const refuses = (value, address = "ada@museum.example") => assert.throws(() => requirePermission(value, address), LedgerError);
  for (const forged of [undefined, null, true, {}, { ...permission }, JSON.parse(JSON.stringify(permission)), await ledger.ask("ada@museum.example", "newsletter")]) refuses(forged);
  refuses(permission, "bob@museum.example");
  assert.throws(() => { permission.address = "bob@museum.example"; }, TypeError);
  const later = Date.now() + 16 * 60 * 1000;
  context.mock.method(Date, "now", () => later);
  refuses(permission);
});

test("Whoever gives up is not told no", async () => {
  await assert.rejects(ledger.check("ada@museum.example", "newsletter", { signal: AbortSignal.abort(new Error("enough")) }), /enough/);
});

test("Links are made, and people sign up with a key or from a page that may", async () => {
  assert.equal((await ledger.unsubscribeLink("ada@museum.example", "newsletter")).headers["List-Unsubscribe-Post"], "List-Unsubscribe=One-Click");
  await ledger.signUp({ form: "website", address: "cy@museum.example", evidence: { ip: "203.0.113.7" } });
  await assert.rejects(ledger.signUp({ form: "nothing", address: "cy@museum.example" }), (error) => error.status === 404);

  const from = (origin) => new ConsentLedger({ url, fetch: (request, init) => { request.headers.set("Origin", origin); return fetch(request, init); } });
  await from("https://museum.example").signUp({ form: "website", address: "di@museum.example" });
  await assert.rejects(from("https://evil.example").signUp({ form: "website", address: "di@museum.example" }), (error) => error.status === 403);
});

test("A key stays out of pages, and out of the clear", () => {
  assert.throws(() => new ConsentLedger({ url: "http://consent.example", key }), TypeError);
  globalThis.document = {};
  try {
    assert.throws(() => new ConsentLedger({ url, key }), TypeError);
    new ConsentLedger({ url });
  } finally {
    delete globalThis.document;
  }
});

function standIn(answer) {
  return new ConsentLedger({ url: "https://consent.example", key: "clk_key", timeout: 50, fetch: async (request, init) => answer(request, init) });
}

async function all(verdicts) {
  const list = [];
  for await (const verdict of verdicts) list.push(verdict);
  return list;
}
