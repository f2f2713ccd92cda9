// Loaded into Azurite before it starts (node --require), so that a request costs less CPU (azurite 3.37.0):
// - The CRC64 of each block is computed byte by byte, at 60 MB/s; here eight bytes at a time.
// - Each request is matched against every operation's path, and the pattern is parsed again each time; here once.
// - The answer to a HEAD for a missing blob has no length, so clients close their connection.
// - Each write is flushed to the disk. Nothing here must survive a power cut.
// - Two thirds of the start are for loading a library of telemetry, which is disabled.
const fs = require("node:fs");
const path = require("node:path");
const { createHash } = require("node:crypto");
const { ServerResponse } = require("node:http");
const Module = require("node:module");

const { createRequire } = Module;
const loadModule = Module._load;
Module._load = (name, ...rest) => (name === "applicationinsights" ? {} : loadModule(name, ...rest));

const load = createRequire(path.resolve(process.argv[1]));

// CRC-64/NVME, reflected (docs/azure-storage.md#the-crc). Table k has the CRC of a byte that k zeros follow, in two halves.
const [HIGH, LOW] = [0x9a6c9329, 0xac4bc9b5];
const high = new Int32Array(8 * 256);
const low = new Int32Array(8 * 256);
for (let byte = 0; byte < 256; byte++) {
  let [h, l] = [0, byte];
  for (let bit = 0; bit < 8; bit++) {
    const isOdd = l & 1;
    l = (l >>> 1) | (h << 31);
    h >>>= 1;
    if (isOdd) [h, l] = [h ^ HIGH, l ^ LOW];
  }
  [high[byte], low[byte]] = [h, l];
}
for (let entry = 256; entry < high.length; entry++) {
  const [h, l] = [high[entry - 256], low[entry - 256]];
  high[entry] = (h >>> 8) ^ high[l & 255];
  low[entry] = (l >>> 8) ^ (h << 24) ^ low[l & 255];
}

class Crc64 {
  #high = -1;
  #low = -1;

  update(bytes) {
    let h = this.#high;
    let l = this.#low;
    let at = 0;
    for (const end = bytes.length - 7; at < end; at += 8) {
      l ^= bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
      h ^= bytes[at + 4] | (bytes[at + 5] << 8) | (bytes[at + 6] << 16) | (bytes[at + 7] << 24);
      const a = 1792 + (l & 255);
      const b = 1536 + ((l >>> 8) & 255);
      const c = 1280 + ((l >>> 16) & 255);
      const d = 1024 + (l >>> 24);
      const e = 768 + (h & 255);
      const f = 512 + ((h >>> 8) & 255);
      const g = 256 + ((h >>> 16) & 255);
      const i = h >>> 24;
      h = high[a] ^ high[b] ^ high[c] ^ high[d] ^ high[e] ^ high[f] ^ high[g] ^ high[i];
      l = low[a] ^ low[b] ^ low[c] ^ low[d] ^ low[e] ^ low[f] ^ low[g] ^ low[i];
    }
    for (; at < bytes.length; at++) {
      const entry = (l ^ bytes[at]) & 255;
      l = ((l >>> 8) | (h << 24)) ^ low[entry];
      h = (h >>> 8) ^ high[entry];
    }
    this.#high = h;
    this.#low = l;
  }

  digest() {
    const made = new DataView(new ArrayBuffer(8));
    made.setInt32(0, ~this.#low, true);
    made.setInt32(4, ~this.#high, true);
    return new Uint8Array(made.buffer);
  }
}

load("./common/utils/utils").computeTransactionalChecksums = (stream, expected, force) =>
  new Promise((resolve, reject) => {
    const md5 = expected.md5 !== undefined || force?.md5 ? createHash("md5") : undefined;
    const crc64 = expected.crc64 !== undefined || force?.crc64 ? new Crc64() : undefined;
    stream
      .on("data", (piece) => {
        md5?.update(piece);
        crc64?.update(piece);
      })
      .on("end", () => resolve({ md5: md5 && new Uint8Array(md5.digest()), crc64: crc64?.digest() }))
      .on("error", reject);
  });

for (const service of ["blob", "queue"]) {
  const templates = load(`./${service}/generated/utils/utils`);
  const { isURITemplateMatch } = templates;
  // What is matched is one of a few patterns of paths, never a path.
  const known = new Map();
  templates.isURITemplateMatch = (url, template) => {
    const key = `${url} ${template}`;
    if (!known.has(key)) known.set(key, isURITemplateMatch(url, template));
    return known.get(key);
  };
}

const { end } = ServerResponse.prototype;
ServerResponse.prototype.end = function (...rest) {
  if (this.req?.method === "HEAD" && !this.headersSent && !this.hasHeader("content-length")) {
    this.setHeader("content-length", 0);
  }
  return end.apply(this, rest);
};

fs.fdatasync = (_, done) => process.nextTick(done);
