// file.digest: the SHA-256 of a file. A handler for Flotilla; see PROTOCOL.md.
// Holds several jobs at once; a cancel ends the reading at once.
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createInterface } from "node:readline";

const running = new Map(); // id -> AbortController

const say = (word) => process.stdout.write(JSON.stringify(word) + "\n");

async function digest({ id, payload }, signal) {
  const { size } = await stat(payload.path);
  const hash = createHash("sha256");
  let read = 0;
  for await (const chunk of createReadStream(payload.path, { signal })) {
    hash.update(chunk);
    read += chunk.length;
    say({ type: "progress", id, fraction: read / size, message: `${read} of ${size} bytes` });
  }
  return { sha256: hash.digest("hex"), bytes: read };
}

function fault(error) {
  if (error.name === "AbortError") return { class: "cancelled", message: "told to stop" };
  if (error.code === "ENOENT") return { class: "invalid", message: `there is no file ${error.path}` };
  if (error.code === "EMFILE") return { class: "later", message: "too many files are open", retry_after: 5 };
  return { class: "transient", message: String(error) };
}

async function run(job) {
  const abort = new AbortController();
  running.set(job.id, abort);
  try {
    say({ type: "result", id: job.id, result: await digest(job, abort.signal) });
  } catch (error) {
    say({ type: "error", id: job.id, ...fault(error) });
  }
  running.delete(job.id);
}

say({ type: "hello", protocol: 1, concurrency: 8 });
for await (const line of createInterface({ input: process.stdin })) {
  const word = JSON.parse(line);
  if (word.type === "job") run(word);
  else if (word.type === "cancel") running.get(word.id)?.abort();
}
