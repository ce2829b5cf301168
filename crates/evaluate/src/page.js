"use strict";
// Draws the histogram of sentence scores and the texts of the evaluation in #data.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { models, sources, references, metrics, say } = data;
  const at = (id) => document.getElementById(id);
  const make = (tag, text, name) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (name) element.className = name;
    return element;
  };
  const colours = ["var(--accent)", "var(--mark)", "#2f9e63", "#9c5bd6", "#c99700", "#0aa3a3", "#d6336c"];
  const STEP = 30, BINS = 20, MOST_CELLS = 4e6;
  let shown = STEP;

  const options = (select, list) => list.forEach(([value, text]) => {
    const option = make("option", text);
    option.value = value;
    select.append(option);
  });
  if (at("metric")) {
    options(at("metric"), metrics.map((m) => [m.name, m.title]));
    at("metric").value = (metrics.find((m) => /rouge-?l$/i.test(m.name)) || metrics[0]).name;
  }
  const orders = [["file", say.file]];
  if (metrics.length) {
    if (models.length > 1) orders.unshift(["apart", say.apart]);
    models.slice().reverse().forEach((m, i) => {
      const k = models.length - 1 - i;
      const of = models.length > 1 ? `${m.name}: ` : "";
      orders.unshift([`worst ${k}`, of + say.worst], [`best ${k}`, of + say.best]);
    });
  }
  options(at("order"), orders);
  options(at("filter"), [["all", say.all], ["wrong", say.wrong], ["right", say.right], ["empty", say.empty]]);

  const score = (k, i) => {
    const lines = at("metric") && models[k].scores[at("metric").value];
    return lines ? lines[i] : undefined;
  };
  const squeezed = (text) => text.trim().replace(/\s+/g, " ");
  const right = (k, i) => references.some((list) => squeezed(list[i]) === squeezed(models[k].texts[i]));

  // Characters of a and b in common, by the longest common subsequence: for each side, whether a character is in it.
  const common = (a, b) => {
    const [n, m] = [a.length, b.length];
    if (n * m > MOST_CELLS) return null;
    const width = m + 1, table = new Uint16Array((n + 1) * width);
    for (let i = n - 1; i >= 0; i--) for (let j = m - 1; j >= 0; j--) {
      table[i * width + j] = a[i] === b[j]
        ? table[(i + 1) * width + j + 1] + 1
        : Math.max(table[(i + 1) * width + j], table[i * width + j + 1]);
    }
    const parts = [];
    const add = (kind, c) => {
      const last = parts[parts.length - 1];
      if (last && last[0] === kind) last[1] += c; else parts.push([kind, c]);
    };
    let i = 0, j = 0;
    while (i < n || j < m) {
      if (i < n && j < m && a[i] === b[j]) { add("same", a[i]); i++; j++; }
      else if (j < m && (i === n || table[i * width + j + 1] > table[(i + 1) * width + j])) add("del", b[j++]);
      else add("mark", a[i++]);
    }
    return parts;
  };
  // The prediction with its differences from the reference that is nearest to it.
  const marked = (text, refs) => {
    const p = make("p");
    if (!text.trim()) { p.append(make("i", say.nothing, "soft")); }
    let best = null, most = -1;
    for (const ref of refs) {
      const parts = common([...text], [...ref]);
      if (!parts) continue;
      const same = parts.filter((x) => x[0] === "same").reduce((sum, x) => sum + x[1].length, 0);
      if (same > most) { most = same; best = parts; }
    }
    if (!best) { p.append(text); return p; }
    best.forEach(([kind, part]) => p.append(kind === "same" ? part : make(kind, part)));
    return p;
  };

  const chosen = () => {
    const words = at("search").value.toLowerCase(), filter = at("filter").value;
    const rows = [];
    for (let i = 0; i < sources.length; i++) {
      const texts = [sources[i], ...references.map((list) => list[i]), ...models.map((m) => m.texts[i])];
      if (words && !texts.some((text) => text.toLowerCase().includes(words))) continue;
      const all = models.map((_, k) => k);
      if (filter === "wrong" && all.every((k) => right(k, i))) continue;
      if (filter === "right" && !all.some((k) => right(k, i))) continue;
      if (filter === "empty" && !all.some((k) => !models[k].texts[i].trim())) continue;
      rows.push(i);
    }
    const [order, k] = at("order").value.split(" ");
    const spread = (i) => {
      const values = models.map((_, k) => score(k, i));
      return Math.max(...values) - Math.min(...values);
    };
    if (order === "worst") rows.sort((a, b) => score(k, a) - score(k, b) || a - b);
    if (order === "best") rows.sort((a, b) => score(k, b) - score(k, a) || a - b);
    if (order === "apart") rows.sort((a, b) => spread(b) - spread(a) || a - b);
    return rows;
  };
  const row = (i) => {
    const box = make("div", undefined, "text");
    const line = (name, p, value) => {
      const label = make("span", name);
      if (value !== undefined && value !== null) label.append(make("b", (100 * value).toFixed(1), "score"));
      box.append(label, p);
    };
    const source = make("p", sources[i], "source");
    source.onclick = () => source.classList.toggle("whole");
    line(`${i + 1} · ${say.source}`, source);
    references.forEach((list) => line(say.reference, make("p", list[i])));
    models.forEach((m, k) => line(m.name, marked(m.texts[i], references.map((list) => list[i])), score(k, i)));
    return box;
  };
  const texts = () => {
    const rows = chosen(), part = rows.slice(0, shown);
    at("texts").replaceChildren(...part.map(row));
    at("shown").textContent = say.shown.replace("{n}", part.length).replace("{all}", rows.length);
    const left = Math.min(STEP, rows.length - part.length);
    at("more").hidden = left <= 0;
    at("more").textContent = say.more.replace("{n}", left);
  };

  const histogram = () => {
    if (!at("metric")) return;
    // As wide as there is room for, so that its text keeps its size on a phone.
    const W = Math.max(280, Math.min(760, at("histogram").clientWidth)), H = 210, L = 44, R = 14, B = 26;
    const counts = models.map((m) => {
      const bins = new Array(BINS).fill(0);
      (m.scores[at("metric").value] || []).forEach((x) => {
        if (x !== null) bins[Math.max(0, Math.min(BINS - 1, Math.floor(x * BINS)))]++;
      });
      return bins;
    });
    const most = Math.max(1, ...counts.flat()), wide = (W - L - R) / BINS, bar = (wide - 4) / models.length;
    let svg = `<svg viewBox="0 0 ${W} ${H}" role="img">`;
    for (const part of [0, 0.5, 1]) {
      const y = H - B - part * (H - B - 10);
      svg += `<line class="grid" x1="${L}" x2="${W - R}" y1="${y}" y2="${y}"/>`
        + `<text x="${L - 6}" y="${y + 4}" text-anchor="end">${Math.round(part * most)}</text>`;
    }
    counts.forEach((bins, k) => bins.forEach((n, i) => {
      const h = n / most * (H - B - 10);
      svg += `<rect class="b${k % 7}" x="${L + i * wide + 2 + k * bar}" y="${H - B - h}" width="${bar}" height="${h}">`
        + `<title>${i * 100 / BINS}–${(i + 1) * 100 / BINS}: ${n}</title></rect>`;
    }));
    for (let i = 0; i <= BINS; i += 4) {
      svg += `<text x="${L + i * wide}" y="${H - 8}" text-anchor="middle">${i * 100 / BINS}</text>`;
    }
    const legend = make("div", undefined, "legend");
    models.forEach((m, k) => {
      const entry = make("span"), dot = make("i");
      dot.style.background = colours[k % 7];
      entry.append(dot, m.name);
      legend.append(entry);
    });
    at("histogram").innerHTML = svg + "</svg>";
    at("histogram").append(legend);
  };

  const again = () => { shown = STEP; texts(); };
  at("order").onchange = at("filter").onchange = again;
  at("search").oninput = again;
  at("more").onclick = () => { shown += STEP; texts(); };
  if (at("metric")) at("metric").onchange = () => { histogram(); again(); };
  addEventListener("resize", histogram);
  histogram();
  texts();
})();
