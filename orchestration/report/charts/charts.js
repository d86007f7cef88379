// Charts by lightweight-charts: bars, which are loaded in pieces as the view moves, and lines of
// figures, which the page holds. All words come from the page.
"use strict";
(() => {
  const L = LightweightCharts;
  const DAY = 86400000, START = 120, LEAST = 10; // bars in view
  const SHAPES = ["circle", "square", "arrowUp", "arrowDown"];
  const root = document.documentElement;

  const colour = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();
  const shift = (day, days) => new Date(Date.parse(day) + days * DAY).toISOString().slice(0, 10);

  function listOptions() {
    const line = { color: colour("line") }, border = { borderColor: colour("line") };
    return {
      layout: {
        background: { color: colour("panel") },
        textColor: colour("faint"),
        panes: { separatorColor: colour("line"), enableResize: false },
        attributionLogo: false, // it needs a style of its own; the page has the link
      },
      grid: { vertLines: line, horzLines: line },
      rightPriceScale: { ...border, entireTextOnly: true },
      timeScale: border,
    };
  }

  function create(box, timeScale, options, make = L.createChart) {
    const localization = { locale: root.lang, dateFormat: "yyyy-MM-dd" };
    const chart = make(box, { ...listOptions(), autoSize: true, localization, ...options });
    chart.applyOptions({ timeScale: { minBarSpacing: 0.1, ...timeScale } });
    return chart;
  }

  // a series without the line and the label of its last value
  const addSeries = (chart, kind, options, pane) => (
    chart.addSeries(kind, { priceLineVisible: false, lastValueVisible: false, ...options }, pane)
  );

  class Lines {
    constructor(figure) {
      const { times, joined, series } = JSON.parse(figure.dataset.lines);
      this.box = figure.querySelector(".canvas");
      const options = { handleScroll: false, handleScale: false };
      const make = times ? L.createChart : L.createOptionsChart;
      this.chart = create(this.box, { timeVisible: times }, options, make);
      this.lines = Object.values(series).map((points, n) => {
        const line = addSeries(this.chart, L.LineSeries, {
          lineVisible: joined,
          lineWidth: 2,
          // a line that lies on another lets it be seen
          lineStyle: joined && n ? L.LineStyle.LargeDashed : L.LineStyle.Solid,
          pointMarkersVisible: joined,
          pointMarkersRadius: n ? 2 : 5,
          priceFormat: { type: "volume", precision: 4, minMove: 0.0001 },
          autoscaleInfoProvider: (scale) => {
            const range = scale()?.priceRange;
            // a line has an axis of its own values; amounts start at nothing
            return range && { priceRange: joined ? range : { ...range, minValue: 0 } };
          },
        });
        line.setData(points.map(([time, value]) => ({ time, value })));
        const marks = joined ? null : L.createSeriesMarkers(line, []);
        return { points, line, marks, texts: new Map(points.map(([at, , text]) => [at, text])) };
      });
      const scale = this.chart.timeScale();
      scale.fitContent(); // a box that has its size from the beginning does not change it
      scale.subscribeSizeChange(() => scale.fitContent());
      const output = figure.querySelector("output");
      this.chart.subscribeCrosshairMove(({ time }) => {
        output.textContent = this.describe(time).join(" · ");
      });
    }

    describe(time) { return this.lines.map(({ texts }) => texts.get(time)).filter(Boolean); }

    paint() {
      this.chart.applyOptions(listOptions());
      this.lines.forEach(({ points, line, marks }, n) => {
        const own = { color: colour(`s${n % 4}`), shape: SHAPES[n % 4], position: "atPriceMiddle" };
        line.applyOptions({ color: own.color });
        marks?.setMarkers(points.map(([time, price]) => ({ time, price, ...own })));
      });
    }
  }

  class Bars {
    constructor(figure) {
      this.figure = figure;
      this.options = figure.dataset;
      this.box = figure.querySelector(".canvas");
      this.output = figure.querySelector("output");
      this.rising = figure.querySelector("[name=rising]");
      this.rising.value = localStorage.getItem("rising") || (root.lang === "zh-CN" ? "red" : "green");
      this.table = document.querySelector("[data-rows]");
      this.bars = [];
      this.busy = false;
      this.marks = [...document.querySelectorAll("[data-marks] [data-day]")].map((item) => (
        { day: item.dataset.day, text: item.textContent.trim() }
      )).sort((a, b) => (a.day < b.day ? -1 : 1));
      const digits = Number(this.options.digits);
      // a drag up or down scrolls the page
      this.chart = create(this.box, { timeVisible: true }, { handleScroll: { vertTouchDrag: false } });
      this.candles = addSeries(this.chart, L.CandlestickSeries, {
        borderVisible: false,
        priceFormat: { type: "price", precision: digits, minMove: 10 ** -digits },
      });
      this.volumes = addSeries(this.chart, L.HistogramSeries, { priceFormat: { type: "volume" } }, 1);
      this.chart.panes()[1].setHeight(80);
      this.markers = L.createSeriesMarkers(this.candles, []);
      this.scale = this.chart.timeScale();
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
      const bars = document_.rows.filter((row) => row.close !== null);
      const { time, ahead, volume } = this.options;
      for (const bar of bars) {
        // a chart has no zones: the minutes of the exchange are given as those of UTC
        const at = bar[time];
        bar.time = at.length > 10 ? Date.parse(at) / 1000 + Number(ahead) : at;
        bar.value = bar[volume] || 0;
      }
      return this.tint(bars);
    }

    // candles and volumes take their colour from the bar
    tint(bars) {
      const [up, down] = [colour("rising"), colour("falling")];
      for (const bar of bars) bar.color = bar.wickColor = bar.close < bar.open ? down : up;
      return bars;
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
        const count = Math.min(START, this.box.clientWidth / 6);
        this.view(atEnd ? bars.length - count : 0, count);
      });
      this.extend();
    }

    // load before the view reaches the end of what is here
    async extend() {
      const range = this.scale.getVisibleLogicalRange();
      if (this.busy || !range) return;
      const { first, last } = this.options, step = Number(this.options.step);
      const count = range.to - range.from;
      const older = range.from < 2 * count && this.from > first;
      const newer = range.to + 2 * count > this.bars.length && this.to < last;
      if (!(older || newer)) return;
      await this.work(async () => {
        if (older) {
          const from = shift(this.from, -step);
          const bars = await this.fetchPiece(from, shift(this.from, -1));
          [this.bars, this.from] = [bars.concat(this.bars), from];
          this.place(); // which keeps the view: it counts from the newest bar
        } else {
          const to = shift(this.to, step);
          const bars = await this.fetchPiece(shift(this.to, 1), to);
          [this.bars, this.to] = [this.bars.concat(bars), to];
          const before = this.scale.getVisibleLogicalRange();
          this.place();
          this.scale.setVisibleLogicalRange(before);
        }
      });
      this.extend();
    }

    async work(task) {
      this.busy = true;
      this.figure.setAttribute("aria-busy", "true");
      try {
        await task();
      } catch (error) {
        this.output.textContent = String(error.message || error);
        this.from = this.options.first;
        this.to = this.options.last;
      } finally {
        this.busy = false;
        this.figure.removeAttribute("aria-busy");
      }
    }

    // each mark at the first bar that is not before it
    place() {
      const { bars } = this;
      this.candles.setData(bars);
      this.volumes.setData(bars);
      this.marked = new Map();
      let n = 0;
      for (const mark of this.marks) {
        if (!bars.length || mark.day < this.from) continue;
        while (n < bars.length && this.day(bars[n]) < mark.day) n += 1;
        if (n === bars.length) break;
        this.marked.set(bars[n], [...(this.marked.get(bars[n]) || []), mark.text]);
      }
      const look = { position: "aboveBar", shape: "arrowDown", color: colour("accent") };
      this.markers.setMarkers([...this.marked.keys()].map((bar) => ({ time: bar.time, ...look })));
    }

    paint() {
      root.dataset.rising = this.rising.value;
      this.chart.applyOptions(listOptions());
      this.tint(this.bars);
      this.place();
    }

    // --- the view

    view(from, count) {
      const bars = Math.max(LEAST, Math.min(count, this.bars.length));
      const left = Math.max(0, Math.min(from, this.bars.length - bars));
      this.scale.setVisibleLogicalRange({ from: left - 0.5, to: left + bars - 0.5 });
    }

    // the first and the last bar in view
    inView() {
      const range = this.scale.getVisibleLogicalRange();
      if (!range || !this.bars.length) return [0, -1];
      const last = this.bars.length - 1;
      return [Math.max(0, Math.ceil(range.from)), Math.min(last, Math.floor(range.to))];
    }

    // --- figures

    time({ time }) {
      return time.length ? time : new Date(time * 1000).toISOString().slice(0, 16).replace("T", " ");
    }

    price(value) {
      const decimals = (String(value).split(".")[1] || "").length;
      return value.toFixed(Math.max(this.options.least, decimals));
    }

    // the figures of a bar, as the table has them
    describe(n) {
      const bar = this.bars[n], words = this.options.words.split("|");
      const prices = ["open", "high", "low", "close"].map(
        (name, i) => `${words[i]} ${this.price(bar[name])}`,
      );
      const volume = bar[this.options.volume];
      const more = volume === undefined || volume === null ? [] : [`${words[4]} ${volume.toLocaleString("en")}`];
      const named = bar.underlying_contract ? [bar.underlying_contract] : [];
      return [this.time(bar), ...named, ...prices, ...more, ...(this.marked.get(bar) || [])].join(" · ");
    }

    // the bar that is pointed at, else the last in view
    show() {
      const n = this.bars[this.pointed] ? this.pointed : this.inView()[1];
      if (this.bars[n]) this.output.textContent = this.describe(n);
    }

    // the rows of the days in view, as the server writes them
    async fillTable() {
      const [from, to] = this.inView().map((n) => this.bars[n]);
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
      this.rising.addEventListener("change", () => {
        localStorage.setItem("rising", this.rising.value);
        this.paint();
      });
      this.box.addEventListener("keydown", (event) => {
        if (!event.ctrlKey && !event.altKey && !event.metaKey && this.act(event.key)) event.preventDefault();
      });
      this.figure.addEventListener("click", (event) => {
        const button = event.target.closest("button[data-key]");
        if (button) this.act(button.dataset.key);
      });
      this.chart.subscribeCrosshairMove(({ logical }) => {
        this.pointed = logical;
        this.show();
      });
      this.scale.subscribeVisibleLogicalRangeChange(() => {
        this.extend();
        this.show();
        clearTimeout(this.resting);
        this.resting = setTimeout(() => this.fillTable(), 300);
      });
    }

    // whether a key means something here
    act(key) {
      const steps = { ArrowLeft: -0.1, ArrowRight: 0.1, PageUp: -0.9, PageDown: 0.9 };
      const zooms = { "+": 1 / 1.4, "=": 1 / 1.4, "-": 1.4 };
      const range = this.scale.getVisibleLogicalRange();
      if (!range) return false;
      const count = range.to - range.from;
      if (key in steps) this.view(range.from + 0.5 + steps[key] * count, count);
      else if (key in zooms) this.view(range.to + 0.5 - zooms[key] * count, zooms[key] * count);
      else if (key === "Home") this.jump(this.options.first, false);
      else if (key === "End") this.jump(this.options.last, true);
      else return false;
      return true;
    }
  }

  const charts = [];
  function add(selector, Chart) {
    for (const figure of document.querySelectorAll(selector)) {
      charts.push(figure.chart = new Chart(figure));
      figure.chart.paint();
    }
  }
  add("[data-bars]", Bars);
  add("[data-lines]", Lines);
  const paper = matchMedia("print");
  for (const media of [matchMedia("(prefers-color-scheme: dark)"), paper]) {
    media.addEventListener("change", () => charts.forEach((chart) => {
      chart.paint();
      chart.box.querySelector(":scope > canvas")?.remove();
      // a chart paints in the next frame, for which paper does not wait; its picture is there now
      if (paper.matches) chart.box.append(chart.chart.takeScreenshot());
    }));
  }
})();
