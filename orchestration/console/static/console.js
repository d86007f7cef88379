// Forms and buttons that call the API, and loads that are watched. All texts come from the page.
"use strict";
(() => {
  const token = document.querySelector("meta[name=quotemill-page]").content;

  async function call(method, address, body) {
    const answer = await fetch(address, {
      method,
      headers: { "content-type": "application/json", "x-quotemill-page": token },
      body: JSON.stringify(body),
    });
    if (answer.status === 401) location.assign("/sign-in"); // the console is another one, or 30 days are over
    return { ok: answer.ok, document: await answer.json() };
  }

  // what is no number is sent as it is, and refused with a word
  const toNumber = (text) => (Number.isFinite(Number(text)) ? Number(text) : text);
  const KINDS = {
    number: toNumber,
    bool: (text) => text === "true",
    list: (text) => text.split(/[\s,;]+/).filter(Boolean),
  };

  function read(form, under) {
    const values = {}, body = {};
    for (const field of form.elements) {
      const kind = KINDS[field.dataset.kind] || (field.type === "number" ? toNumber : (text) => text);
      if (!field.name || field.disabled) continue;
      if (form.dataset.changed !== undefined && !isChanged(field)) continue;
      const place = field.dataset.top === undefined ? values : body;
      if (field.dataset.each !== undefined) {
        if (field.checked) (place[field.name] ||= []).push(field.value);
      } else if (field.dataset.delete !== undefined) place[field.name] = null;
      else if (field.type === "checkbox") place[field.name] = field.checked;
      else if (field.value.trim() !== "") place[field.name] = kind(field.value);
      else if (field.dataset.empty !== undefined) place[field.name] = null;
    }
    // the datasets of the mode are what a load takes that names none
    const mode = form.querySelector("[data-modes]"), boxes = form.querySelector("[data-datasets]");
    if (mode && boxes) {
      const ticked = values.datasets || [];
      if (ticked.join(" ") === inOrder(form, listDefaults(mode)).join(" ")) delete values.datasets;
      else values.datasets = ticked;
    }
    return under ? { ...body, [under]: values } : { ...body, ...values };
  }

  // whether a reader has changed a field since the server sent it
  function isChanged(field) {
    if (field.options) return [...field.options].some((choice) => choice.selected !== choice.defaultSelected);
    return field.type === "checkbox" ? field.checked !== field.defaultChecked : field.value !== field.defaultValue;
  }

  const listDefaults = (mode) => mode.selectedOptions[0].dataset.datasets.split(" ");
  const listBoxes = (form) => [...form.querySelectorAll("[name=datasets]")];
  const inOrder = (form, names) => listBoxes(form).map((box) => box.value).filter((n) => names.includes(n));

  function tickDefaults(event) {
    const mode = event.target.closest("[data-modes]");
    if (!mode) return;
    const names = listDefaults(mode);
    for (const box of listBoxes(mode.form)) box.checked = names.includes(box.value);
  }

  // a rule that is chosen stands in the field beside, and one that is typed in the list
  function chooseRule({ target }) {
    const list = target.form?.querySelector("[data-fills]");
    if (target === list && list.value) list.form.elements[list.dataset.fills].value = list.value;
    else if (list?.dataset.fills === target.name) list.value = target.value;
  }

  // the command that does what a form would
  function writeCommand(event) {
    const place = event.target.form?.querySelector("[data-command]");
    if (!place) return;
    const { source, build, datasets, ...others } = read(event.target.form);
    const options = (datasets || []).map((name) => ["dataset", name]).concat(Object.entries(others));
    const words = options.map(([name, value]) => `--${name.replace("_", "-")} ${value}`);
    place.textContent = [build ? "quotemill load" : "loaders run", source, ...words].join(" ");
  }

  function say(place, text, kind = "warn") {
    if (!place) return;
    place.textContent = text.replaceAll("`", "");
    place.className = kind;
  }

  function fill(address, answer) {
    return address.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(answer[name]));
  }

  // returns whether the page is left for another
  async function report(form, answer) {
    const goto = (answer.job_id && form.dataset.gotoJob) || form.dataset.goto;
    if (goto && !answer.checks) {
      location.assign(fill(goto, answer));
      return true;
    }
    if (form.dataset.renew !== undefined && !answer.checks) await renew(form);
    const place = form.querySelector("[data-answer]");
    if (answer.checks) {
      const lines = answer.checks.map((c) => [c.verdict, c.name, c.sentence, c.fix].filter(Boolean).join(" · "));
      say(place, lines.join("\n"), !answer.ok ? "bad" : answer.warned ? "warn" : "good");
    } else {
      const done = form.dataset.done || document.body.dataset.done;
      say(place, [done, ...(answer.notes || []), answer.hint].filter(Boolean).join(" "), "good");
    }
    return false;
  }

  // the forms that a saved value may show in, as the server has them now; what is being typed stays
  async function renew(saved) {
    const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
    for (const form of document.querySelectorAll("form[data-renew]")) {
      const now = page.getElementById(form.id);
      if (now && (form === saved || ![...form.elements].some(isChanged))) replace(form, now.innerHTML);
    }
  }

  // the fields that an error names: the answer moves below the first, else back to the end
  function mark(form, place, error = "") {
    const words = error.replaceAll(`${form.dataset.under}.`, "").split(/[^\w.]+/);
    const names = words.map((word) => word.replace(/\.+$/, ""));
    const fields = [...form.elements].filter((field) => field.name && field.type !== "hidden");
    place.id = `answer-${[...document.forms].indexOf(form)}`;
    for (const field of fields) {
      const isWrong = names.includes(field.name);
      field.ariaInvalid = String(isWrong);
      field.dataset.about ??= field.getAttribute("aria-describedby") || "";
      field.setAttribute("aria-describedby", `${field.dataset.about} ${isWrong ? place.id : ""}`.trim());
    }
    const first = fields.find((field) => field.ariaInvalid === "true");
    if (first) (first.closest("label") || first).after(place);
    else form.append(place);
    first?.focus();
  }

  // the state is there at once, in place of the last answer; a second click while it lasts does nothing
  async function submit(event) {
    const form = event.target.closest("form[data-call]");
    if (!form) return;
    event.preventDefault();
    if (form.ariaBusy === "true") return;
    form.ariaBusy = "true";
    const own = event.submitter ? event.submitter.dataset : {};
    const place = form.querySelector("[data-answer]");
    mark(form, place);
    // a command that loads waits for its turn, up to half a minute; its own page says that it runs
    say(place, document.body.dataset[form.dataset.goto?.includes("{run_id}") ? "queued" : "running"]);
    let isLeaving = false;
    try {
      const body = read(form, own.call ? own.under : form.dataset.under);
      const method = own.method || form.dataset.method || "POST";
      const { ok, document: answer } = await call(method, own.call || form.dataset.call, body);
      if (!ok) mark(form, place, answer.error);
      if (!ok || answer.error) {
        say(place, [answer.error, answer.hint].filter(Boolean).join(" — "), "bad");
        place.scrollIntoView({ block: "nearest" });
      } else isLeaving = await report(form, answer);
    } catch (error) {
      say(place, String(error), "bad");
    } finally {
      if (!isLeaving) form.ariaBusy = "false";
    }
  }

  // a part of the page that the server renders anew
  async function refresh(part) {
    try {
      const answer = await fetch(part.dataset.part);
      if (answer.status === 401) location.assign("/sign-in");
      else if (answer.ok) replace(part, await answer.text());
      else if (part.dataset.lazy !== undefined) say(part, (await answer.json()).error, "bad");
    } catch (error) { // the server is away; what is shown stays until it answers again
      if (part.dataset.lazy !== undefined) say(part, String(error), "bad");
    }
  }

  const listScrolled = (part) => [...part.querySelectorAll("pre, .wide")];
  const isAtEnd = (box) => box.scrollTop + box.clientHeight >= box.scrollHeight - 4;

  // who works by keyboard, or has scrolled, stays where they were; a log shows its end
  function replace(part, text) {
    const held = part.contains(document.activeElement) ? document.activeElement.id : "";
    const before = listScrolled(part).map((box) => [box.scrollLeft, isAtEnd(box) ? Infinity : box.scrollTop]);
    part.innerHTML = text;
    const after = listScrolled(part);
    if (after.length === before.length) after.forEach((box, n) => scroll(box, ...before[n]));
    else after.forEach(showEnd);
    if (held) document.getElementById(held)?.focus();
    const said = document.querySelector("[data-said]"), state = part.querySelector("#state > span");
    if (said && state && said.textContent !== state.textContent) said.textContent = state.textContent;
  }

  function scroll(box, left, top) {
    box.scrollLeft = left;
    box.scrollTop = Math.min(top, box.scrollHeight);
  }

  function showEnd(box) {
    if (box.matches("pre")) box.scrollTop = box.scrollHeight;
  }

  // a browser has few connections to a server, of all its pages together: a hidden one keeps none
  function watch(part) {
    let events = null, last = 0;
    function open() {
      events = new EventSource(part.dataset.events);
      events.addEventListener("job", () => {
        if (Date.now() - last > 1500) {
          last = Date.now();
          refresh(part);
        }
      });
      events.addEventListener("end", async () => {
        document.removeEventListener("visibilitychange", change);
        events.close();
        await refresh(part);
        if (part.querySelector("[data-running]")) poll(part); // its command goes on
      });
    }
    function change() {
      events?.close();
      events = null;
      if (!document.hidden) open();
    }
    document.addEventListener("visibilitychange", change);
    change();
  }

  function poll(part) {
    const timer = setInterval(async () => {
      if (document.hidden) return;
      await refresh(part);
      if (!part.querySelector("[data-running]")) clearInterval(timer);
    }, 2000);
  }

  const orders = new Map(); // by table: the column that a reader sorts by, and which way

  // the headers of a table become buttons that sort it; one that comes anew is sorted as it was
  function addSorting(table) {
    table.dataset.sorted = "";
    if (!table.tHead || table.tBodies[0].rows.length < 2) return;
    const heads = [...table.tHead.rows[0].cells], key = table.id;
    function sort() {
      const { n, way } = orders.get(key), body = table.tBodies[0];
      heads.forEach((head, other) => { head.ariaSort = other === n ? way : null; });
      const valued = [...body.rows].map((row) => [readSortable(row.cells[n]), row]);
      valued.sort(([a], [b]) => (way === "ascending" ? 1 : -1) * compare(a, b));
      body.append(...valued.map(([, row]) => row));
    }
    heads.forEach((head, n) => {
      const button = document.createElement("button");
      button.type = "button";
      button.id = `sort-${key}-${n}`;
      button.className = "plain sort";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        orders.set(key, { n, way: head.ariaSort === "ascending" ? "descending" : "ascending" });
        sort();
      });
    });
    if (orders.has(key)) sort();
  }

  function compare(a, b) {
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return typeof a === "number" ? a - b || 0 : a.localeCompare(b);
  }

  // of times in several zones the instant
  const readSortable = (cell) => (
    cell.querySelector("time")?.dateTime || toSortable(cell.textContent.trim())
  );

  // a figure, "3 / 8" or a duration as a number; before all others what is not there
  function toSortable(text) {
    if (text === "–" || text === "") return -Infinity;
    const time = /^(?:(\d+) h ?)?(?:(\d+) min ?)?(?:([\d.]+) s)?$/.exec(text);
    if (time) return time.slice(1).reduce((sum, part) => sum * 60 + Number(part || 0), 0);
    const number = Number(text.replaceAll(",", "").split(" / ")[0]);
    return Number.isNaN(number) ? text : number;
  }

  const addAllSorting = () =>
    document.querySelectorAll("main table[id]:not([data-sorted])").forEach(addSorting);

  // the key of a link is behind #, which no server, log or history has
  function useLink() {
    const form = document.getElementById("sign-in"), key = location.hash.slice(1);
    if (!form || !key) return;
    history.replaceState(null, "", location.pathname);
    form.elements.token.value = key;
    form.requestSubmit();
  }

  document.addEventListener("submit", submit);
  document.addEventListener("change", tickDefaults);
  document.addEventListener("input", chooseRule);
  document.addEventListener("input", writeCommand);
  document.addEventListener("change", writeCommand);
  addEventListener("hashchange", useLink);
  useLink();
  document.querySelectorAll("pre").forEach(showEnd);
  addAllSorting();
  new MutationObserver(addAllSorting).observe(document.querySelector("main"), { childList: true, subtree: true });
  document.querySelectorAll("[data-events]").forEach(watch);
  document.querySelectorAll("[data-poll]").forEach(poll);
  document.querySelectorAll("[data-lazy]").forEach(refresh);
})();
