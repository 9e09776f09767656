// Enqueue jobs on a Flotilla fleet and wait for what they give, typed. Nothing but `fetch`.
//
//   const fleet = new Flotilla("http://127.0.0.1:9464", { token: "..." });
//   const job = await fleet.enqueue("caption.parse", { text: "50% off #sale" }, { idempotencyKey: "post-7" });
//   console.log((await fleet.wait(job)).hashtags);

import type { components } from "./types.js";

export type Schemas = components["schemas"];
/** The names of all kinds. */
export type Kind = { [K in keyof Schemas]: K extends `${infer Name}.payload` ? Name : never }[keyof Schemas];
/** What a kind takes. */
export type Payload<K extends Kind> = `${K}.payload` extends keyof Schemas ? Schemas[`${K}.payload`] : never;
/** What a kind gives. */
export type Result<K extends Kind> = `${K}.result` extends keyof Schemas ? Schemas[`${K}.result`] : never;
export type Job = Schemas["Job"];
export type Problem = Schemas["Problem"];

/** What an enqueue may say beside kind and payload. */
export type Options = Partial<
  Pick<Schemas["Envelope"], "lane" | "tenant" | "priority" | "run_at" | "deadline" | "unique" | "order" | "traceparent">
>;

/** A job to enqueue with others. */
export type New<K extends Kind = Kind> = { [N in K]: Options & { kind: N; payload: Payload<N> } }[K];

/** A job that was enqueued; `K` remembers what it gives. */
export type Ref<K extends Kind> = Schemas["Taken"] & { readonly kind?: K };

/** An answer that is not success, as problem details (RFC 9457). */
export class FlotillaError extends Error {
  constructor(readonly problem: Problem, readonly retryAfter?: number) {
    super(`${problem.title}: ${problem.detail}`);
  }
}

/** The job ended without a result. */
export class JobFailed extends Error {
  constructor(readonly job: Job) {
    super(`job ${job.id} is ${job.state}: ${job.errors?.at(-1)?.error ?? job.reason}`);
  }
}

type Call = { body?: unknown; key?: string | undefined; signal?: AbortSignal | undefined };

/** A fleet behind its API. */
export class Flotilla {
  readonly #url: string;
  readonly #token: string | undefined;

  constructor(url: string, options: { token?: string } = {}) {
    this.#url = url.replace(/\/+$/, "");
    this.#token = options.token;
  }

  /** Enqueues one job; it is durable when this resolves. With a key, sending again is the same job. */
  async enqueue<K extends Kind>(
    kind: K,
    payload: Payload<K>,
    { idempotencyKey, ...options }: Options & { idempotencyKey?: string } = {},
  ): Promise<Ref<K>> {
    return (await this.#call("POST", "/v1/jobs", { body: { kind, payload, ...options }, key: idempotencyKey })) as Ref<K>;
  }

  /** Enqueues all or, when one is not valid, none. */
  async enqueueAll<const J extends readonly New[]>(
    jobs: J,
    { idempotencyKey }: { idempotencyKey?: string } = {},
  ): Promise<{ -readonly [I in keyof J]: Ref<J[I]["kind"]> }> {
    const answer = await this.#call("POST", "/v1/jobs", { body: jobs, key: idempotencyKey });
    return (answer as { jobs: unknown }).jobs as { -readonly [I in keyof J]: Ref<J[I]["kind"]> };
  }

  /** The job as it stands, or as soon as it has finished within `wait` milliseconds. */
  async get(job: Ref<Kind> | string, options: { wait?: number; signal?: AbortSignal } = {}): Promise<Job> {
    const path = `/v1/jobs/${typeof job === "string" ? job : job.id}?wait=${Math.trunc(options.wait ?? 0)}ms`;
    return (await this.#call("GET", path, { signal: options.signal })) as Job;
  }

  /** The result, once there is one. Rejects with JobFailed, or when `signal` aborts. */
  async wait<K extends Kind>(job: Ref<K>, options: { poll?: number; signal?: AbortSignal } = {}): Promise<Result<K>> {
    for (;;) {
      options.signal?.throwIfAborted();
      const seen = await this.get(job, { wait: options.poll ?? 30_000, ...options });
      if (seen.state === "completed") return seen.result as Result<K>;
      if (seen.state === "dead" || seen.state === "cancelled") throw new JobFailed(seen);
    }
  }

  /** At once while it waits; a running one is asked to stop. */
  async cancel(job: Ref<Kind> | string, reason?: string): Promise<void> {
    const path = `/v1/jobs/${typeof job === "string" ? job : job.id}`;
    await this.#call("DELETE", path, reason === undefined ? {} : { body: { reason } });
  }

  async #call(method: string, path: string, { body, key, signal }: Call): Promise<unknown> {
    const headers = new Headers({ accept: "application/json" });
    if (body !== undefined) headers.set("content-type", "application/json");
    if (this.#token !== undefined) headers.set("authorization", `Bearer ${this.#token}`);
    if (key !== undefined) headers.set("idempotency-key", key);
    const request: RequestInit = { method, headers, signal: signal ?? null };
    if (body !== undefined) request.body = JSON.stringify(body);
    const answer = await fetch(this.#url + path, request);
    if (answer.ok) return answer.json();
    const wait = answer.headers.get("retry-after");
    const none = { type: "about:blank", title: answer.statusText, status: answer.status, detail: "no detail" };
    const problem: Problem = await answer.json().catch(() => none);
    throw new FlotillaError(problem, wait === null ? undefined : Number(wait));
  }
}
