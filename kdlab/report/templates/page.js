// Adds to a page that is whole without it: tables that sort, and sliders over the temperature and the bias offset.
(() => {
  const make = (tag, text, attributes = {}) => {
    const node = document.createElement(tag);
    node.textContent = text;
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    return node;
  };

  for (const head of document.querySelectorAll("table thead tr")) {
    const body = head.closest("table").tBodies[0];
    if (body.rows.length < 3) continue;
    [...head.cells].forEach((cell, column) => {
      const button = make("button", cell.textContent, { type: "button" });
      cell.replaceChildren(button);
      button.onclick = () => {
        const down = cell.getAttribute("aria-sort") === "ascending";
        for (const other of head.cells) other.removeAttribute("aria-sort");
        cell.setAttribute("aria-sort", down ? "descending" : "ascending");
        const value = (row) => row.cells[column].textContent.trim().replace(/^\[|,|\]/g, "");
        const order = (a, b) => {
          const [x, y] = [parseFloat(a), parseFloat(b)];
          return isNaN(x) || isNaN(y) ? a.localeCompare(b) : x - y;
        };
        const rows = [...body.rows].sort((a, b) => order(value(a), value(b)));
        body.append(...(down ? rows.reverse() : rows));
      };
    });
  }

  const source = document.getElementById("play-data");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const section = document.getElementById("play");
  section.hidden = false;

  const softmax = (logits, t) => {
    const most = Math.max(...logits);
    const powers = logits.map((z) => Math.exp((z - most) / t));
    const sum = powers.reduce((a, b) => a + b);
    return powers.map((p) => p / sum);
  };
  const entropy = (p) => p.reduce((sum, q) => (q > 0 ? sum - q * Math.log(q) : sum), 0);
  const percent = (p) => `${(100 * p).toFixed(1)} %`;
  const slider = (label, low, high, step, value, unit, moved) => {
    const input = make("input", "", { type: "range", min: low, max: high, step, value, id: label.replace(/\W/g, "-") });
    const output = make("output", "", { for: input.id });
    const line = make("p", "", { class: "slider" });
    line.append(make("label", `${label} `, { for: input.id }), input, output);
    input.oninput = () => {
      output.textContent = unit(+input.value);
      input.setAttribute("aria-valuetext", output.textContent);
      moved(+input.value);
    };
    section.append(line);
    return input;
  };

  const cards = make("ul", "", { class: "cards" });
  const shown = [];
  for (const sample of data.samples) {
    const card = make("li", "", { class: "card" });
    if (sample.image) card.append(make("img", "", { src: sample.image, alt: sample.alt }));
    card.append(make("strong", data.classes[sample.label]));
    for (const [name, logits] of sample.logits) {
      const title = make("div", "", { class: "net" });
      const bars = make("div", "", { class: "bars one", "data-net": name });
      const parts = logits.map((_, c) => {
        const [bar, share] = [make("span", "", { class: name === "teacher" ? "bar" : "bar student" }), make("span", "", { class: "share" })];
        bars.append(make("span", data.classes[c], { class: "name" }), bar, share);
        return [bar, share];
      });
      card.append(title, bars);
      shown.push([name, logits, title, parts]);
    }
    cards.append(card);
  }
  const table = make("table", "");
  const cells = data.similarity && data.similarity.means[0].map((row, c) => {
    const line = table.insertRow();
    line.append(make("th", data.classes[c], { scope: "row" }));
    return row.map(() => line.appendChild(make("td", "", { class: "number" })));
  });

  const temperature = slider("Temperature", -0.31, 1.7, 0.01, Math.log10(data.temperature), (x) => `T = ${(10 ** x).toPrecision(3)}`, (x) => {
    const t = 10 ** x;
    for (const [name, logits, title, parts] of shown) {
      const p = softmax(logits, t);
      title.textContent = `${name}: entropy ${entropy(p).toFixed(2)} nats`;
      parts.forEach(([bar, share], c) => {
        bar.style.width = `${100 * p[c]}%`;
        bar.dataset.p = p[c];
        share.textContent = percent(p[c]);
      });
    }
    if (!cells) return;
    const at = data.similarity.temperatures.map(Math.log10);
    const i = Math.max(0, at.findLastIndex((it, k) => it <= x && k < at.length - 1));
    const w = Math.min(1, Math.max(0, (x - at[i]) / (at[i + 1] - at[i])));
    cells.forEach((row, a) => row.forEach((cell, b) => {
      const p = (1 - w) * data.similarity.means[i][a][b] + w * data.similarity.means[i + 1][a][b];
      cell.textContent = (100 * p).toFixed(1);
      cell.style.background = a === b ? "" : `color-mix(in srgb, var(--student) ${Math.min(60, 400 * p)}%, transparent)`;
    }));
  });
  section.append(cards);
  if (cells) {
    const head = table.createTHead().insertRow();
    head.append(make("th", "true class", { scope: "col" }), ...data.classes.map((it) => make("th", it, { scope: "col", class: "number" })));
    table.prepend(make("caption", "The teacher's mean soft target of each class, in per cent; between the temperatures that were computed, interpolated"));
    const frame = make("div", "", { class: "scroll", role: "region", tabindex: 0, "aria-label": "Classes that are alike" });
    frame.append(table);
    section.append(frame);
  }
  temperature.oninput();

  for (const [arm, it] of Object.entries(data.bias)) {
    const said = make("p", "", { class: "note", "data-arm": arm, "aria-live": "polite" });
    slider(`Offset of ${arm}'s unseen logits`, it.low, it.low + it.step * (it.seen.length - 1), it.step, 0, (x) => x.toFixed(2), (x) => {
      const i = Math.round((x - it.low) / it.step);
      said.textContent = `${it.seen[i] + it.unseen[i]} errors: ${it.seen[i]} on seen, ${it.unseen[i]} on unseen classes. ${it.marks}`;
    }).oninput();
    section.append(said);
  }
})();
