// Where in the page somebody is: behind `#`, so that no server, log or Referer learns it, and the sign-in keeps it.

// "#/r/KEY?t=3723" is {name: "r", key: "KEY", query: URLSearchParams}; "#/?state=archived" is {name: "", …}.
export function parse(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  const [name, ...rest] = path.split("/");
  return { name: decode(name), key: decode(rest.join("/")), query: new URLSearchParams(query) };
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

// The address of a place; parameters that are empty are left out.
export function href(name, key = "", query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value !== null && value !== undefined && value !== false);
  const text = new URLSearchParams(given).toString();
  return `#/${encodeURIComponent(name)}${key ? `/${encodeURIComponent(key)}` : ""}${text ? `?${text}` : ""}`;
}

export function here() {
  return parse(location.hash);
}

export function go(address) {
  location.hash = address;
}

// Change the address without a step in the history and without opening a view again.
export function note(address) {
  history.replaceState(history.state, "", address);
}
