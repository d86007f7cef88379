// A chart of bars: it loads them in pieces as the view moves, and draws what is in view as a few
// paths, however many bars there are. All words come from the page.
"use strict";
(() => {
  const HEIGHT = 300, VOLUME = 60, GAP = 12, FOOT = 20, TOP = 8, BASE = TOP + HEIGHT + GAP + VOLUME;
  const START = 120, LEAST = 10; // bars in view
  const DAY = 86400000;
  const PARTS = ["rule", "volume", "event", "wick up", "wick down", "body up", "body down", "cursor"];

  const shift = (day, days) => new Date(Date.parse(day) + days * DAY).toISOString().slice(0, 10);

  function make(name, attributes) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) element.setAttribute(key, attributes[key]);
    return element;
  }

  class Chart {
    constructor(figure) {
      this.figure = figure;
      this.options = figure.dataset;
      this.svg = figure.querySelector("svg");
      this.output = figure.querySelector("output");
      this.table = document.querySelector("[data-rows]");
      this.bars = [];
      this.left = 0; // the first bar in view, with its fraction
      this.count = START;
      this.busy = false;
      this.paths = {};
      for (const name of PARTS) this.svg.append((this.paths[name] = make("path", { class: name })));
      this.texts = make("g", {});
      this.svg.append(this.texts);
      this.marks = [...document.querySelectorAll("[data-marks] [data-day]")].map((item) => (
        { day: item.dataset.day, text: item.textContent.trim() }
      )).sort((a, b) => (a.day < b.day ? -1 : 1));
      this.listen();
      this.jump(this.options.until, true);
    }

    // --- bars, in pieces

    async fetchPiece(start, end) {
      const address = new URL(this.options.address, location.href);
      address.searchParams.set("start", start);
      address.searchParams.set("end", end);
      const answer = await fetch(address);
      const document_ = await answer.json();
      if (!answer.ok) throw new Error(document_.error);
      // a day without a bar, as futures have them, has no place in the chart
      return document_.rows.filter((row) => row.close !== null);
    }

    day(bar) { return bar.trading_day || bar.trade_date; }

    // start anew at one end of a piece
    async jump(day, atEnd) {
      await this.work(async () => {
        const { first, last } = this.options, step = Number(this.options.step);
        let [from, to] = atEnd ? [shift(day, -step), day] : [day, shift(day, step)];
        let bars = await this.fetchPiece(from, to);
        while (!bars.length && (atEnd ? from > first : to < last)) {
          [from, to] = atEnd ? [shift(from, -step), shift(from, -1)] : [shift(to, 1), shift(to, step)];
          bars = await this.fetchPiece(from, to);
        }
        [this.bars, this.from, this.to] = [bars, from, to];
        this.place();
        this.left = atEnd ? bars.length : 0;
      });
      this.draw();
      this.show(this.lastInView());
    }

    // load before the view reaches the end of what is here
    async extend() {
      const { first, last } = this.options, step = Number(this.options.step);
      const older = this.left < 2 * this.count && this.from > first;
      const newer = this.left + 3 * this.count > this.bars.length && this.to < last;
      if (this.busy || !(older || newer)) return;
      await this.work(async () => {
        if (older) {
          const from = shift(this.from, -step);
          const bars = await this.fetchPiece(from, shift(this.from, -1));
          [this.bars, this.from] = [bars.concat(this.bars), from];
          this.left += bars.length;
          if (this.drag) this.drag.left += bars.length;
        } else {
          const to = shift(this.to, step);
          [this.bars, this.to] = [this.bars.concat(await this.fetchPiece(shift(this.to, 1), to)), to];
        }
        this.place();
      });
      this.draw();
    }

    async work(task) {
      this.busy = true;
      this.figure.setAttribute("aria-busy", "true");
      try {
        await task();
      } catch (error) {
        this.say(String(error.message || error));
        this.from = this.options.first;
        this.to = this.options.last;
      } finally {
        this.busy = false;
        this.figure.removeAttribute("aria-busy");
      }
    }

    // each mark at the first bar that is not before it
    place() {
      this.marked = new Map();
      let at = 0;
      for (const mark of this.marks) {
        if (!this.bars.length || mark.day < this.from) continue;
        while (at < this.bars.length && this.day(this.bars[at]) < mark.day) at += 1;
        if (at === this.bars.length) break;
        const bar = this.bars[at];
        this.marked.set(bar, [...(this.marked.get(bar) || []), mark.text]);
      }
    }

    // --- the view

    clamp() {
      if (!this.bars.length) return;
      this.count = Math.max(LEAST, Math.min(this.count, this.bars.length));
      this.left = Math.max(0, Math.min(this.left, this.bars.length - this.count));
    }

    pan(bars) {
      this.left += bars;
      this.draw();
      this.show(this.lastInView());
    }

    zoom(factor, part = 1) {
      const held = this.left + part * this.count;
      this.count = Math.max(LEAST, Math.min(this.count * factor, this.bars.length));
      this.left = held - part * this.count;
      this.draw();
    }

    lastInView() { return Math.min(this.bars.length, Math.round(this.left + this.count)) - 1; }

    draw() {
      this.clamp();
      if (!this.frame) this.frame = requestAnimationFrame(() => { this.frame = 0; this.paint(); });
      this.extend();
      clearTimeout(this.resting);
      this.resting = setTimeout(() => this.fillTable(), 300);
    }

    // bars in view; where they are narrower than two points, several as one
    group() {
      const size = Math.max(1, Math.ceil((2 * this.count) / this.width)), groups = [];
      const last = Math.min(this.bars.length, Math.ceil(this.left + this.count));
      let group = null;
      for (let n = Math.max(0, Math.floor(this.left)); n < last; n += 1) {
        const bar = this.bars[n], volume = bar[this.options.volume] || 0;
        if (!group || (this.bars.length - n) % size === 0) {
          group = { n, open: bar.open, high: bar.high, low: bar.low, volume: 0, marks: null };
          groups.push(group);
        }
        group.close = bar.close;
        group.high = Math.max(group.high, bar.high);
        group.low = Math.min(group.low, bar.low);
        group.volume += volume;
        group.marks = group.marks || this.marked.get(bar) || null;
      }
      return { groups, size };
    }

    paint() {
      const full = this.svg.clientWidth, digits = this.options.digits;
      if (!full) return;
      this.texts.replaceChildren();
      for (const name of PARTS) this.paths[name].setAttribute("d", "");
      this.svg.setAttribute("viewBox", `0 0 ${full} ${BASE + FOOT}`);
      if (!this.bars.length) return;
      this.axis = 58;
      this.width = full - this.axis;
      const { groups, size } = this.group();
      const low = Math.min(...groups.map((g) => g.low)), high = Math.max(...groups.map((g) => g.high));
      const most = Math.max(...groups.map((g) => g.volume)) || 1, span = high - low || 1;
      const y = (price) => (TOP + HEIGHT * (1 - (price - low) / span)).toFixed(1);
      const pitch = this.width / this.count, half = Math.max(0.5, 0.36 * pitch * size);
      const isThin = pitch * size < 4; // no body would be seen beside its wick
      const d = Object.fromEntries(PARTS.map((name) => [name, []]));
      for (const g of groups) {
        const middle = this.axis + (g.n - this.left + size / 2) * pitch;
        const x = middle.toFixed(1), a = (middle - half).toFixed(1), b = (middle + half).toFixed(1);
        const way = g.close >= g.open ? "up" : "down";
        const height = (BASE - (VOLUME * g.volume) / most).toFixed(1);
        const top = y(g.high), foot = y(g.low);
        // a bar of one price has no body here to be seen by
        d[`wick ${way}`].push(`M${x} ${top}V${isThin && foot === top ? Number(top) + 1 : foot}`);
        if (!isThin) d[`body ${way}`].push(`M${a} ${y(g.open)}H${b}V${y(g.close)}H${a}Z`);
        d.volume.push(isThin ? `M${x} ${BASE}V${height}` : `M${a} ${BASE}H${b}V${height}H${a}Z`);
        if (g.marks) d.event.push(`M${x} ${TOP}V${BASE}`);
      }
      for (let n = 0; n < 5; n += 1) {
        const price = low + (span * n) / 4;
        d.rule.push(`M${this.axis} ${y(price)}H${full}`);
        this.write(this.axis - 6, Number(y(price)) + 4, "end", this.format(price, digits || 2));
      }
      const labels = Math.max(2, Math.floor(this.width / 130));
      for (let n = 0; n < labels; n += 1) {
        const at = Math.floor(this.left + ((n + 0.5) * this.count) / labels);
        const bar = this.bars[at];
        const x = this.axis + (at - this.left + 0.5) * pitch;
        if (bar) this.write(x, BASE + FOOT - 5, "middle", this.time(bar));
      }
      for (const name of PARTS) this.paths[name].setAttribute("d", d[name].join(""));
    }

    write(x, y, anchor, text) {
      const element = make("text", { x: x.toFixed(1), y: y.toFixed(1), "text-anchor": anchor });
      element.textContent = text;
      this.texts.append(element);
    }

    // --- figures

    time(bar) { return String(bar[this.options.time]).slice(0, 16).replace("T", " "); }

    format(value, digits) {
      if (value === null || value === undefined) return "–";
      return digits ? value.toFixed(digits) : String(value);
    }

    // the figures of a bar, as the table has them
    show(n) {
      const bar = this.bars[n];
      if (!bar) return;
      const words = this.options.words.split("|"), digits = this.options.digits;
      const prices = ["open", "high", "low", "close"].map(
        (name, i) => `${words[i]} ${this.format(bar[name], digits)}`,
      );
      const volume = bar[this.options.volume];
      const more = volume === undefined || volume === null ? [] : [`${words[4]} ${volume.toLocaleString("en")}`];
      const named = bar.underlying_contract ? [bar.underlying_contract] : [];
      this.say([this.time(bar), ...named, ...prices, ...more, ...(this.marked.get(bar) || [])].join(" · "));
      this.shown = n;
    }

    say(text) { this.output.textContent = text; }

    // the rows of the days in view, as the server writes them
    async fillTable() {
      const from = this.bars[Math.max(0, Math.floor(this.left))], to = this.bars[this.lastInView()];
      if (!this.table || !from || !to) return;
      const address = new URL(this.table.dataset.rows, location.href);
      address.searchParams.set("start", this.day(from));
      address.searchParams.set("end", this.day(to));
      if (this.filled === address.href) return;
      this.filled = address.href;
      const answer = await fetch(address);
      if (!answer.ok) return;
      const text = await answer.text();
      if (this.filled !== address.href) return; // the view has moved on
      this.table.innerHTML = text;
      this.table.dataset.shown = `${this.day(from)} ${this.day(to)}`;
    }

    // --- what a person does

    listen() {
      const { svg } = this;
      new ResizeObserver(() => this.draw()).observe(svg);
      svg.addEventListener("keydown", (event) => {
        if (!event.ctrlKey && !event.altKey && !event.metaKey && this.act(event.key)) event.preventDefault();
      });
      this.figure.addEventListener("click", (event) => {
        const button = event.target.closest("button[data-key]");
        if (button) this.act(button.dataset.key);
      });
      svg.addEventListener("pointerdown", (event) => {
        this.drag = { x: event.clientX, left: this.left };
        svg.setPointerCapture(event.pointerId);
      });
      svg.addEventListener("pointermove", (event) => {
        if (this.drag) {
          this.left = this.drag.left - ((event.clientX - this.drag.x) * this.count) / this.width;
          this.draw();
        } else this.point(event);
      });
      for (const name of ["pointerup", "pointercancel"]) {
        svg.addEventListener(name, () => { this.drag = null; });
      }
      svg.addEventListener("pointerleave", () => this.paths.cursor.setAttribute("d", ""));
      svg.addEventListener("wheel", (event) => {
        const part = (event.offsetX - this.axis) / this.width;
        if (event.ctrlKey) this.zoom(event.deltaY > 0 ? 1.15 : 1 / 1.15, Math.max(0, Math.min(part, 1)));
        else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
          this.pan(((event.deltaX || event.deltaY) * this.count) / this.width);
        } else return; // the page scrolls
        event.preventDefault();
      }, { passive: false });
    }

    // whether a key means something here
    act(key) {
      const steps = {
        ArrowLeft: -0.1, ArrowRight: 0.1, PageUp: -0.9, PageDown: 0.9,
      };
      if (key in steps) this.pan(steps[key] * this.count);
      else if (key === "+" || key === "=") this.zoom(1 / 1.4);
      else if (key === "-") this.zoom(1.4);
      else if (key === "Home") this.jump(this.options.first, false);
      else if (key === "End") this.jump(this.options.last, true);
      else return false;
      return true;
    }

    point(event) {
      if (!this.bars.length || event.offsetX < this.axis) return;
      const n = Math.floor(this.left + ((event.offsetX - this.axis) * this.count) / this.width);
      if (!this.bars[n]) return;
      const x = this.axis + ((n - this.left + 0.5) * this.width) / this.count;
      this.paths.cursor.setAttribute("d", `M${x.toFixed(1)} ${TOP}V${BASE}`);
      this.show(n);
    }
  }

  document.querySelectorAll("[data-chart]").forEach((figure) => { figure.chart = new Chart(figure); });
})();
