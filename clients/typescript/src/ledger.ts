import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./api.js";
import { LedgerError, permit, type Permission, type Verdict } from "./permission.js";

/** Where the ledger is, and what it knows this program by. */
export interface LedgerOptions {
  /** Where the ledger is reached: `https://consent.example.org`. */
  url: string;
  /** An API key, `clk_…`; for servers only. A page in a browser signs people up without one. */
  key?: string;
  /** How long one request may take, in milliseconds; 10,000 unless set. */
  timeout?: number;
  /** What to ask with instead of the global `fetch`. */
  fetch?: typeof fetch;
}

/** Somebody signs up. */
export interface SignUp {
  /** The key of the form whose purposes and wording were shown. */
  form: string;
  address: string;
  /** Keys of the purposes that were chosen; may be left out where the form has one. */
  purposes?: string[];
  /** The language to write in, if not the form's. */
  language?: string;
  /** The form's own fields, as filled in. */
  fields?: Record<string, string>;
  /** What the website saw of whoever signed up; for servers only. */
  evidence?: components["schemas"]["SignUpEvidence"];
}

/** A way out for one message. */
export type UnsubscribeLink = components["schemas"]["UnsubscribeLink"];

interface Stop {
  signal?: AbortSignal;
}

const mostAddresses = 10_000;
const attempts = 3;

/**
 * Asks the ledger. It fails closed: an error, a timeout and an answer that was cut are exceptions, and never a permission.
 */
export class ConsentLedger {
  /** Every route of the contract, typed from its OpenAPI document. For checks use `check` and `checkMany`. */
  readonly api: Client<paths>;

  readonly #options: LedgerOptions;
  readonly #fetch: typeof fetch;

  constructor(options: LedgerOptions) {
    const url = new URL(options.url);
    if (url.protocol !== "https:" && !["localhost", "127.0.0.1", "[::1]"].includes(url.hostname)) {
      throw new TypeError("The ledger's url has to be https.");
    }
    if (options.key !== undefined && typeof document !== "undefined") {
      throw new TypeError("A key in a page is everybody's key: leave it out, and only sign people up.");
    }
    this.#options = options;
    this.#fetch = (options.fetch ?? fetch).bind(globalThis);
    this.api = createClient<paths>({
      baseUrl: options.url.replace(/\/+$/, ""),
      fetch: (request) => this.#send(request),
      headers: options.key === undefined ? {} : { Authorization: `Bearer ${options.key}` },
    });
  }

  /**
   * Whether a message may be sent to this address for this purpose, now: a permission, or undefined, so that
   * `if (await ledger.check(…))` says what it means.
   */
  async check(address: string, purpose: string, stop: Stop = {}): Promise<Permission | undefined> {
    return (await this.ask(address, purpose, stop)).permission;
  }

  /** As `check`, with the reason of a refusal. */
  async ask(address: string, purpose: string, stop: Stop = {}): Promise<Verdict> {
    const askedAt = Date.now();
    const { data, error, response } = await this.#try(() => this.api.POST("/v1/checks", { body: { address, purpose }, ...stop }), stop);
    const errors = response.status === 400 ? Object.keys((error as Problem | undefined)?.errors ?? {}) : [];
    if (errors.length === 1 && errors[0] === "address") {
      return { address, purpose, reason: "invalid-address" };
    }
    if (!data || typeof data.reason !== "string") {
      throw refused(response, error);
    }
    return data.allowed === true && data.purpose === purpose
      ? granted(permit(address, purpose, data.reason, { ...data.unsubscribe?.headers }, data.unsubscribe?.url, askedAt))
      : { address, purpose, reason: data.reason };
  }

  /**
   * As `ask`, for any number of addresses, answered in their order. Of an answer that was cut nothing is handed out; what
   * was handed out before it stands.
   */
  async *checkMany(addresses: Iterable<string> | AsyncIterable<string>, purpose: string, stop: Stop = {}): AsyncGenerator<Verdict, void, undefined> {
    let part: string[] = [];
    for await (const address of addresses) {
      part.push(address);
      if (part.length === mostAddresses) {
        yield* await this.#checkPart(part, purpose, stop);
        part = [];
      }
    }
    if (part.length > 0) {
      yield* await this.#checkPart(part, purpose, stop);
    }
  }

  /**
   * Signs somebody up: with a key by the website's server, without one from a page of a site that the form allows. They are
   * asked to confirm by mail, and nothing says whether they were known.
   */
  async signUp(signUp: SignUp, stop: Stop = {}): Promise<void> {
    const { form, fields, evidence, ...rest } = signUp;
    if (this.#options.key !== undefined) {
      const header = { "Idempotency-Key": `"${crypto.randomUUID()}"` };
      const { error, response } = await this.#try(() => this.api.POST("/v1/signups", { body: { ...signUp }, params: { header }, ...stop }), stop);
      if (!response.ok) {
        throw refused(response, error);
      }
      return;
    }
    const response = await this.#try(
      () =>
        this.#send(
          new Request(`${this.#options.url.replace(/\/+$/, "")}/signup/${encodeURIComponent(form)}`, {
            method: "POST",
            headers: { "Content-Type": "application/json", Accept: "application/json" },
            body: JSON.stringify({ ...fields, ...rest }),
            ...stop,
          }),
        ).then((response) => ({ response })),
      stop,
      1,
    ).then(({ response }) => response);
    if (response.status !== 202) {
      throw refused(response, await response.json().catch(() => undefined));
    }
  }

  /** The link by which a subscriber leaves a purpose, and the header fields of the message. */
  async unsubscribeLink(address: string, purpose: string, stop: Stop = {}): Promise<UnsubscribeLink> {
    const { data, error, response } = await this.#try(() => this.api.POST("/v1/unsubscribe-links", { body: { address, purpose }, ...stop }), stop);
    if (!data) {
      throw refused(response, error);
    }
    return data;
  }

  async #checkPart(addresses: string[], purpose: string, stop: Stop): Promise<Verdict[]> {
    const askedAt = Date.now();
    const { data, response } = await this.#try(
      () =>
        this.api.POST("/v1/checks/stream", {
          params: { query: { purpose, links: true } },
          headers: { "Content-Type": "application/x-ndjson", Accept: "application/x-ndjson" },
          body: addresses.map((address) => JSON.stringify(address) + "\n").join(""),
          bodySerializer: (body) => body as string,
          parseAs: "text",
          ...stop,
        }),
      stop,
    );
    if (!response.ok || typeof data !== "string") {
      throw refused(response, undefined);
    }
    return readList(data, addresses, purpose, askedAt);
  }

  async #send(request: Request): Promise<Response> {
    request.signal.throwIfAborted();
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), this.#options.timeout ?? 10_000);
    const abort = () => limit.abort(request.signal.reason);
    request.signal.addEventListener("abort", abort);
    // Not left to fetch alone: Node 20 can forget the signal of a fetch whose body is still on its way.
    const over = new Promise<never>((_, reject) => limit.signal.addEventListener("abort", () => reject(limit.signal.reason)));
    over.catch(() => undefined);
    try {
      const response = await Promise.race([this.#fetch(request, { signal: limit.signal, redirect: "error" }), over]);
      // The body belongs to the answer: one that is cut is none, and it may not take longer either.
      const { status, statusText, headers } = response;
      const body = [204, 304].includes(status) ? null : await Promise.race([response.arrayBuffer(), over]);
      return new Response(body, { status, statusText, headers });
    } finally {
      clearTimeout(timer);
      request.signal.removeEventListener("abort", abort);
    }
  }

  /** Asks again over a blink of the service, and gives up as an error that is one of ours. */
  async #try<T extends { response: Response }>(ask: () => Promise<T>, stop: Stop, most = attempts): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        const answer = await ask();
        if (attempt === most || ![429, 502, 503, 504].includes(answer.response.status)) {
          return answer;
        }
      } catch (fault) {
        stop.signal?.throwIfAborted();
        if (attempt === most || fault instanceof SyntaxError) {
          throw new LedgerError("The ledger can't be asked.", undefined, { cause: fault });
        }
      }
      await new Promise((resolve) => setTimeout(resolve, 100 * 2 ** attempt * (0.5 + Math.random())));
      stop.signal?.throwIfAborted();
    }
  }
}

type Problem = components["schemas"]["Problem"];

function granted(permission: Permission): Verdict {
  const { address, purpose, reason } = permission;
  return { address, purpose, reason, permission };
}

function refused(response: Response, error: unknown): LedgerError {
  const { title, detail } = (typeof error === "object" && error !== null ? error : {}) as Partial<Problem>;
  return new LedgerError(`The ledger did not answer (${response.status}). ${[title, detail].filter(Boolean).join(". ")}`.trim(), response.status);
}

function readList(text: string, addresses: string[], purpose: string, askedAt: number): Verdict[] {
  const cut = () => new LedgerError("The answer to a list was cut, or is of another list: none of it may be used.");
  const lines = text.split("\n");
  if (lines.pop() !== "" || lines.length !== addresses.length + 1) {
    throw cut();
  }
  const parsed = lines.map((line): Record<string, unknown> => {
    try {
      const value: unknown = JSON.parse(line);
      if (typeof value === "object" && value !== null) {
        return value as Record<string, unknown>;
      }
    } catch {
      // Falls through: it is no line of an answer.
    }
    throw cut();
  });
  const summary = parsed.pop()?.["summary"] as Record<string, unknown> | undefined;
  const verdicts = parsed.map((line, index) => read(line, addresses[index]!, purpose, askedAt) ?? raise(cut()));
  const allowed = verdicts.filter((verdict) => verdict.permission).length;
  return summary?.["received"] === addresses.length && summary["allowed"] === allowed ? verdicts : raise(cut());
}

/** One line, or undefined if it is not about this address. What can't be an address may come back as null. */
function read(line: Record<string, unknown>, address: string, purpose: string, askedAt: number): Verdict | undefined {
  const { allowed, reason, unsubscribeUrl } = line;
  if (typeof reason !== "string" || (line["address"] !== address && (line["address"] !== null || allowed === true))) {
    return undefined;
  }
  if (allowed !== true) {
    return { address, purpose, reason };
  }
  const url = typeof unsubscribeUrl === "string" ? unsubscribeUrl : undefined;
  const headers = url === undefined ? {} : {
    "List-Unsubscribe": `<${url}>`,
    "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    "List-Id": `<${purpose}.${new URL(url).hostname}>`,
  };
  return granted(permit(address, purpose, reason, headers, url, askedAt));
}

function raise(error: Error): never {
  throw error;
}
