// Requests to /v1, with the token of whoever is signed in, and their answers.
import * as session from "./session.js";

// What a request got instead of an answer. `code` is for programs, `requestId` stands in the app's log.
// `retryAfter` is in seconds; `status` is 0 where there was no answer at all.
export class Problem extends Error {
  constructor(status, { code = "", message = "", target = null } = {}, requestId = "", retryAfter = null) {
    super(message);
    Object.assign(this, { status, code, target, requestId, retryAfter });
  }
}

const LONGEST_WAIT = 5;
const TRIES = 3;

// Options: {query: {name: value}, signal}. Parameters that are null, undefined, false or "" are left out.
export const get = async (path, options) => json(await send("GET", path, options));
export const post = async (path, body, options) => json(await send("POST", path, { ...options, body }));
export const put = async (path, body, options) => json(await send("PUT", path, { ...options, body }));
export const remove = async (path, options) => json(await send("DELETE", path, options));

// A file that the app itself answers with: {name, blob}.
export async function file(path, options) {
  const answer = await send("GET", path, options);
  const name = /filename="([^"]*)"/.exec(answer.headers.get("content-disposition") || "");
  return { name: name ? name[1] : path.split("/").pop(), blob: await answer.blob() };
}

// A path of texts from outside: path`recordings/${key}/trail`.
export function path(parts, ...values) {
  return parts.reduce((made, part, index) => made + encodeURIComponent(values[index - 1]) + part);
}

async function send(method, to, { query = {}, body, signal } = {}) {
  const asked = Object.entries(query).filter(([, value]) => ![null, undefined, false, ""].includes(value));
  const address = `v1/${to}${asked.length ? `?${new URLSearchParams(asked)}` : ""}`;
  let isRenewed = false;
  for (let tries = 1; ; tries += 1) {
    const answer = await once(method, address, body, signal);
    if (answer.ok) return answer;
    const problem = await read(answer);
    if (problem.status === 401 && !isRenewed) {
      isRenewed = true;
      await session.renew();
      continue;
    }
    if (problem.status === 401) session.end();
    if (problem.status >= 500) for (const listen of troubled) listen(problem);
    // Only what changes nothing is repeated unasked.
    const waits = problem.retryAfter !== null && problem.retryAfter <= LONGEST_WAIT;
    if (method !== "GET" || tries >= TRIES || !waits || ![429, 503].includes(problem.status)) throw problem;
    await pause(problem.retryAfter * 1000, signal);
  }
}

async function once(method, address, body, signal) {
  const headers = { Authorization: `Bearer ${await session.token()}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  try {
    return await fetch(address, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store", redirect: "error" });
  } catch (failed) {
    if (signal?.aborted) throw failed;
    const problem = new Problem(0, { code: "NotReached", message: "The app can't be reached. Is this machine online?" });
    for (const listen of troubled) listen(problem);
    throw problem;
  }
}

async function read(answer) {
  const said = await answer.json().catch(() => ({}));
  const after = parseInt(answer.headers.get("retry-after"), 10);
  const message = said.message || `The app answered ${answer.status}.`;
  const number = answer.headers.get("x-ms-request-id") || "";
  return new Problem(answer.status, { ...said, message }, number, Number.isNaN(after) ? null : after);
}

async function json(answer) {
  const text = await answer.text();
  return text ? JSON.parse(text) : {};
}

// Wait for some milliseconds; rejects when the signal aborts.
export function pause(milliseconds, signal) {
  return new Promise((done, stopped) => {
    signal?.throwIfAborted();
    const timer = setTimeout(done, milliseconds);
    signal?.addEventListener("abort", () => { clearTimeout(timer); stopped(signal.reason); }, { once: true });
  });
}

const troubled = new Set();

// Be told of each answer of 500 and more, and of none: something that the app needs may be down.
export function onTrouble(listen) {
  troubled.add(listen);
}
