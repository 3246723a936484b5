// Says who may be written to for a purpose, and with which header fields:
//   CONSENTLEDGER_URL=http://localhost:8080 CONSENTLEDGER_KEY=clk_… node example/send.mjs newsletter ada@example.org bob@example.org
import { ConsentLedger, requirePermission } from "../dist/index.js";

const [purpose, ...addresses] = process.argv.slice(2);
const ledger = new ConsentLedger({ url: process.env.CONSENTLEDGER_URL ?? "http://localhost:8080", key: process.env.CONSENTLEDGER_KEY });

for await (const { address, reason, permission } of ledger.checkMany(addresses, purpose)) {
  if (permission) {
    send({ to: address, subject: "News from the museum", text: "The new gallery is open." }, permission);
    console.log(`${address}: sent (${reason})`);
  } else {
    console.log(`${address}: not sent (${reason})`);
  }
}

/** Hand the message to your mailer here, nodemailer for one. */
function send(message, permission) {
  requirePermission(permission, message.to);
  return { ...message, headers: permission.headers };
}
