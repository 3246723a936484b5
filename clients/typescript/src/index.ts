export { ConsentLedger, type LedgerOptions, type SignUp, type UnsubscribeLink } from "./ledger.js";
export { LedgerError, requirePermission, type Permission, type Verdict } from "./permission.js";
export type { components, paths } from "./api.js";
