/** Says that a message may be sent to one address for one purpose, now. Only the ledger makes one. */
export interface Permission {
  readonly address: string;
  readonly purpose: string;
  /** Why, in the words of the API: `given`, `renewed`, `permitted` or `service`. */
  readonly reason: string;
  /** How the recipient leaves; absent for addresses other than e-mail. */
  readonly unsubscribeUrl?: string;
  /** The header fields to put into the message (RFC 8058); a DKIM signature has to cover them. */
  readonly headers: Readonly<Record<string, string>>;
  /** Can't be written down by hand: that is what makes it a permission. */
  readonly [granted]: Date;
}

/** The answer for one address: with a permission, or without. */
export interface Verdict {
  readonly address: string;
  readonly purpose: string;
  /** Why: `given`, `withdrawn`, `suppressed`, `unknown`, …. */
  readonly reason: string;
  /** Present if a message may be sent. */
  readonly permission?: Permission;
}

/** The ledger could not be asked, or did not answer whole: nothing may be sent. It shows no address. */
export class LedgerError extends Error {
  override readonly name = "LedgerError";

  constructor(
    message: string,
    /** The status of the answer; undefined if there was none. */
    readonly status?: number,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

declare const granted: unique symbol;

const lifetime = 15 * 60 * 1000;
const permissions = new WeakMap<object, number>();

/** Makes one. Not exported from the package. */
export function permit(address: string, purpose: string, reason: string, headers: Record<string, string>, unsubscribeUrl: string | undefined, askedAt: number): Permission {
  const permission = Object.freeze({
    address,
    purpose,
    reason,
    headers: Object.freeze({ ...headers }),
    ...(unsubscribeUrl === undefined ? {} : { unsubscribeUrl }),
  }) as Permission;
  permissions.set(permission, askedAt);
  return permission;
}

/**
 * Throws unless this is a permission that the ledger gave, for this address, within the last 15 minutes. For code that
 * sends: whatever it is handed, it sends to nobody who was not asked about.
 */
export function requirePermission(value: unknown, address: string): asserts value is Permission {
  const askedAt = typeof value === "object" && value !== null ? permissions.get(value) : undefined;
  if (askedAt === undefined) {
    throw new LedgerError("There is no permission to send.");
  }
  if ((value as Permission).address !== address) {
    throw new LedgerError("The permission is about another address.");
  }
  if (Date.now() - askedAt > lifetime) {
    throw new LedgerError("The permission is older than 15 minutes: ask again.");
  }
}
