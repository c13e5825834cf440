"use strict";
const box = document.getElementById("search");
const results = document.getElementById("results");
const contents = document.getElementById("contents");
const places = [...document.querySelectorAll("[data-search]")].map((place) => ({
  id: place.id,
  name: place.dataset.search,
  text: (place.tagName === "DT" ? place.textContent + place.nextElementSibling.textContent : place.textContent).toLowerCase(),
}));

/** Names that begin so come first, then names that contain it, then texts. */
function rank(place, words) {
  const name = place.name.toLowerCase();
  const last = name.split(".").pop();
  if (!words.every((word) => name.includes(word) || place.text.includes(word))) return 0;
  if (last === words[0]) return 5;
  if (last.startsWith(words[0])) return 4;
  if (name.includes(words[0])) return 3;
  return 1;
}

box.addEventListener("input", () => {
  const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
  contents.hidden = words.length > 0;
  results.hidden = words.length === 0;
  results.replaceChildren();
  if (!words.length) return;
  const found = places.map((place) => [rank(place, words), place]).filter(([points]) => points);
  found.sort(([a, one], [b, other]) => b - a || one.name.length - other.name.length);
  for (const [, place] of found.slice(0, 40)) {
    const link = document.createElement("a");
    link.href = "#" + place.id;
    link.textContent = place.name.replace(/^trio_transports\./, "");
    results.append(Object.assign(document.createElement("li"), {}));
    results.lastChild.append(link);
  }
  if (!found.length) {
    results.append(Object.assign(document.createElement("li"), { textContent: "Nothing found." }));
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== box) {
    event.preventDefault();
    box.focus();
  }
  if (event.key === "Escape" && box.value) {
    box.value = "";
    box.dispatchEvent(new Event("input"));
  }
});
