// Sign-in at Entra ID: authorization code with PKCE (RFC 6749, 7636) by a redirect of the whole page. Tokens are in
// memory only: after a reload Entra ID's own session answers, without a question. Nothing else is kept but the way
// back, for as long as the redirect takes.
import { decoded, encoded, randomText } from "./encoding.js";

// What the app says of its surroundings.
export const settings = JSON.parse(document.querySelector("meta[name=recordings]").content);
// A token is renewed this long before it ends.
const EARLY = 60_000;
const WAY_BACK = "recordings.way.";
let access = null; // {token, until, refresh, name}
let renewing = null;
const ended = new Set();

// What must be set before anybody can sign in: names of app settings; or null.
export function unconfigured() {
  if (settings.wrong) return [];
  const missing = [["tenant", "ENTRA_TENANT_ID"], ["api", "ENTRA_API_ID"], ["page", "ENTRA_PAGE_ID"]]
    .filter(([name]) => !settings[name]).map(([, setting]) => setting);
  return missing.length ? missing : null;
}

// Go to Entra ID and come back to this place; `another` asks who signs in, also where it is known.
export async function signIn({ another = false } = {}) {
  const [state, nonce, verifier] = [randomText(), randomText(), randomText()];
  const hash = location.hash.startsWith("#/") ? location.hash : "#/";
  sessionStorage.setItem(WAY_BACK + state, JSON.stringify({ nonce, verifier, hash }));
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier));
  const asked = {
    client_id: settings.page,
    response_type: "code",
    // In the fragment: the code doesn't reach the app's log.
    response_mode: "fragment",
    redirect_uri: redirectUri(),
    scope: scope(),
    state,
    nonce,
    code_challenge: encoded(new Uint8Array(digest)),
    code_challenge_method: "S256",
    ...(another ? { prompt: "select_account" } : {}),
  };
  location.assign(`${endpoint("authorize")}?${new URLSearchParams(asked)}`);
  // The page is about to go.
  return new Promise(() => {});
}

// Finish a sign-in if this is the way back from one; returns whether somebody is signed in now. Throws an Error that
// can be shown for a sign-in that failed.
export async function arrive() {
  const found = new URLSearchParams(location.hash.slice(1));
  if (location.hash.startsWith("#/") || !found.has("state")) return access !== null;
  const key = WAY_BACK + found.get("state");
  const kept = sessionStorage.getItem(key);
  sessionStorage.removeItem(key);
  const way = kept && JSON.parse(kept);
  // The code is out of the address before anything else happens.
  history.replaceState(null, "", way ? way.hash : "#/");
  if (!way) throw new Error("This sign-in was not begun in this tab, or was used before.");
  if (found.has("error")) throw new Error(found.get("error_description") || found.get("error"));
  await redeem({ grant_type: "authorization_code", code: found.get("code"), redirect_uri: redirectUri(), code_verifier: way.verifier }, way.nonce);
  return true;
}

// The access token, renewed if it is about to end.
export async function token() {
  if (access && Date.now() > access.until - EARLY) await renew();
  if (!access) throw new SignedOut();
  return access.token;
}

// Get another access token by the refresh token; without one nobody is signed in any more.
export function renew() {
  renewing ||= (async () => {
    try {
      if (!access?.refresh) throw new SignedOut();
      await redeem({ grant_type: "refresh_token", refresh_token: access.refresh, scope: scope() });
    } catch (failed) {
      // No answer is no refusal: the next request tries again.
      if (failed instanceof TypeError) throw failed;
      end();
      throw new SignedOut();
    } finally {
      renewing = null;
    }
  })();
  return renewing;
}

export class SignedOut extends Error {
  constructor() {
    super("You are signed out.");
  }
}

// Forget the tokens; who listens offers to sign in.
export function end() {
  access = null;
  for (const listen of ended) listen();
}

export function onEnd(listen) {
  ended.add(listen);
}

// Sign out of this page and of Entra ID.
export function signOut() {
  access = null;
  location.assign(`${endpoint("logout")}?${new URLSearchParams({ post_logout_redirect_uri: redirectUri() })}`);
}

async function redeem(grant, nonce) {
  const answer = await fetch(endpoint("token"), { method: "POST", body: new URLSearchParams({ client_id: settings.page, ...grant }) });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(said.error_description || `The sign-in was refused (${answer.status}).`);
  // The token came from Entra ID itself over TLS, so its signature needs no check here (OpenID Connect Core 3.1.3.7).
  if (nonce && claims(said.id_token).nonce !== nonce) throw new Error("The sign-in was answered for another request.");
  access = { token: said.access_token, until: Date.now() + said.expires_in * 1000, refresh: said.refresh_token || access?.refresh };
}

function claims(text) {
  return JSON.parse(new TextDecoder().decode(decoded((text || "").split(".")[1] || "e30")));
}

const scope = () => `openid profile offline_access ${settings.api}/access`;
const redirectUri = () => `${location.origin}/`;
const endpoint = (name) => `${settings.authority.replace(/\/$/, "")}/${settings.tenant}/oauth2/v2.0/${name}`;
