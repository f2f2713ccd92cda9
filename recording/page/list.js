// TODO
import { fill, h } from "./dom.js";

export function open(place) {
  fill(place.main, h("h1", { tabindex: "-1" }, "List"));
}
