// The search of the page Prices, and what was last looked at, which this browser keeps.
"use strict";
(() => {
  const MOST = 12;
  const input = document.querySelector("[data-search]"), found = document.querySelector("[data-found]");
  const seen = document.querySelector("[data-seen]"), shown = document.querySelector("[data-code]");
  const before = JSON.parse(localStorage.getItem("seen") || "[]");

  async function search() {
    const text = input.value;
    const answer = await fetch(`/prices/search?${new URLSearchParams({ text })}`);
    if (answer.ok && input.value === text) found.innerHTML = await answer.text();
  }

  let waiting;
  input.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(search, 150);
  });
  if (shown) {
    const { code, name } = shown.dataset;
    const others = before.filter((row) => row.code !== code);
    localStorage.setItem("seen", JSON.stringify([{ code, name }, ...others].slice(0, MOST)));
  }
  if (seen && before.length) {
    for (const { code, name } of before) {
      const item = document.createElement("li"), link = document.createElement("a");
      link.href = `/prices?${new URLSearchParams({ code })}`;
      link.textContent = `${code} ${name}`;
      item.append(link);
      seen.querySelector("ul").append(item);
    }
    seen.hidden = false;
  }
})();
