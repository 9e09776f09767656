// The TypeScript client against a real server: URL and token are arguments.
import { Flotilla, FlotillaError, JobFailed } from "./client.js";
import type { Payload } from "./client.js";

declare const process: { argv: string[] };
const [url, token] = process.argv.slice(2) as [string, string];
const fleet = new Flotilla(url, { token });

function check(holds: boolean, what: unknown): void {
  if (!holds) throw new Error(`does not hold: ${JSON.stringify(what)}`);
}

async function fails<E extends Error>(call: Promise<unknown>, kind: new (...given: never[]) => E): Promise<E> {
  const error = await call.then(() => new Error("it succeeded"), (error: unknown) => error);
  if (!(error instanceof kind)) throw error;
  return error;
}

const job = await fleet.enqueue("caption.parse", { text: "50% off #sale" }, { idempotencyKey: "t1" });
const again = await fleet.enqueue("caption.parse", { text: "50% off #sale" }, { idempotencyKey: "t1" });
check(job.outcome === "created" && again.id === job.id, [job, again]);
const parsed = await fleet.wait(job);
check(parsed.hashtags[0]?.tag === "sale", parsed);

const [one, two] = await fleet.enqueueAll([
  { kind: "caption.parse", payload: { text: "#one" } },
  { kind: "caption.parse", payload: { text: "#two" }, priority: 9 },
]);
check((await fleet.wait(one)).hashtags[0]?.tag === "one", one);
check((await fleet.wait(two)).hashtags[0]?.tag === "two", two);

// @ts-expect-error the compiler sees the wrong field too
const wrong: Payload<"caption.parse"> = { txt: "a" };
const refused = await fails(fleet.enqueue("caption.parse", wrong), FlotillaError);
check(refused.problem.status === 422 && refused.message.includes("text"), refused.problem);
const stranger = await fails(new Flotilla(url, { token: "wrong" }).get(job), FlotillaError);
check(stranger.problem.status === 401, stranger.problem);

const later = await fleet.enqueue("caption.parse", { text: "a" }, { run_at: "2999-01-01T00:00:00Z" });
await fleet.cancel(later, "no longer wanted");
const failed = await fails(fleet.wait(later), JobFailed);
check(failed.job.state === "cancelled", failed.job);
console.log("ok");
