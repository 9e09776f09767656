// word.count: an HTTP endpoint that counts the words of a text. A handler for Flotilla; see PROTOCOL.md.
// PORT, TOKEN and SECRET (whsec_...) come from the environment.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const { PORT, TOKEN, SECRET } = process.env;
const key = Buffer.from(SECRET.replace("whsec_", ""), "base64");
let busy = 0;

function isOurs(headers, body) {
  const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
  const wanted = createHmac("sha256", key).update(signed).digest();
  const given = (headers["webhook-signature"] ?? "").split(" ").map((s) => Buffer.from(s.slice(3), "base64"));
  const same = given.some((one) => one.length === wanted.length && timingSafeEqual(one, wanted));
  return same && headers.authorization === `Bearer ${TOKEN}`;
}

function refuse(response, status, problem, headers = {}) {
  response.writeHead(status, { "content-type": "application/problem+json", ...headers });
  response.end(JSON.stringify(problem));
}

async function serve(request, response) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks).toString();
  if (!isOurs(request.headers, body)) return refuse(response, 401, { title: "not signed by us" });
  const { payload, attempt } = JSON.parse(body);
  if (typeof payload.text !== "string") return refuse(response, 422, { title: "no text", detail: "give text" });
  if (payload.busy && busy++ === 0) return refuse(response, 429, { title: "busy" }, { "retry-after": "1" });
  response.writeHead(200, { "content-type": "application/x-ndjson" });
  const say = (word) => response.write(JSON.stringify(word) + "\n");
  const counts = {};
  const words = payload.text.toLowerCase().match(/\p{L}+/gu) ?? [];
  for (const [at, word] of words.entries()) {
    counts[word] = (counts[word] ?? 0) + 1;
    if (at % 100 === 0) say({ type: "progress", fraction: at / words.length, message: word });
  }
  say({ type: "result", result: { words: words.length, counts, attempt } });
  response.end();
}

createServer(serve).listen(PORT, "127.0.0.1", () => console.log("ready"));
