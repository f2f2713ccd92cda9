// A recording that was erased: what its tombstone says, which names nobody who took part.
import * as api from "./api.js";
import { h } from "./dom.js";
import { when } from "./time.js";

// What is known of the erasure of a recording, by the digest of its key; null if it was not erased.
export async function erasedOf(place, key) {
  if (!place.may("v1_get_erasure")) return null;
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(key));
  const id = [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return api.get(api.path`erasures/${id}`, { signal: place.signal }).catch((failed) => {
    if (failed.status === 404) return null;
    throw failed;
  });
}

export function erased(place, key, found) {
  return h("section", { class: "panel" }, h("h2", {}, "Erased"), h("p", {}, "This recording was erased ", when(found.erasedAt, "full"), "."));
}
