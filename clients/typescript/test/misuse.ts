// Compiled by `npm test`, never run: every line under an expected error is one that must not compile.
import { ConsentLedger, requirePermission, type Permission } from "../dist/index.js";

declare const ledger: ConsentLedger;
declare function send(permission: Permission): void;

export async function misuse(): Promise<void> {
  // @ts-expect-error The answer was not waited for, and a promise is always true.
  if (ledger.check("ada@example.org", "newsletter")) send(undefined as never);

  // @ts-expect-error There may be no permission.
  send(await ledger.check("ada@example.org", "newsletter"));

  // @ts-expect-error A verdict is no permission.
  send(await ledger.ask("ada@example.org", "newsletter"));

  // @ts-expect-error Nobody writes a permission by hand.
  send({ address: "ada@example.org", purpose: "newsletter", reason: "given", headers: {} });

  const permission = await ledger.check("ada@example.org", "newsletter");
  if (permission) send(permission);

  const handed: unknown = permission;
  requirePermission(handed, "ada@example.org");
  send(handed);
}
