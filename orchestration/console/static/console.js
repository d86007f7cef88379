// Forms and buttons that call the API. No words of its own: all texts come from the page.
"use strict";
(() => {
  const token = document.querySelector("meta[name=quotemill-page]").content;

  async function call(method, address, body) {
    const answer = await fetch(address, {
      method,
      headers: { "content-type": "application/json", "x-quotemill-page": token },
      body: JSON.stringify(body),
    });
    const document = await answer.json();
    return { ok: answer.ok, document };
  }

  function read(form) {
    const body = {};
    for (const field of form.elements) {
      if (!field.name || field.disabled || (field.type === "radio" && !field.checked)) continue;
      if (field.type === "checkbox") body[field.name] = field.checked;
      else if (field.value !== "") body[field.name] = field.type === "number" ? Number(field.value) : field.value;
    }
    return body;
  }

  function say(place, text, isBad) {
    if (!place) return;
    place.textContent = text;
    place.className = isBad ? "bad" : "good";
  }

  async function submit(event) {
    const form = event.target.closest("form[data-call]");
    if (!form) return;
    event.preventDefault();
    const place = form.querySelector("[data-answer]");
    try {
      const { ok, document: answer } = await call(form.dataset.method || "POST", form.dataset.call, read(form));
      if (!ok || answer.error) say(place, [answer.error, answer.hint].filter(Boolean).join(" — "), true);
      else if (form.dataset.goto) location.assign(form.dataset.goto);
      else say(place, form.dataset.done || "", false);
    } catch (error) {
      say(place, String(error), true);
    }
  }

  document.addEventListener("submit", submit);
})();
