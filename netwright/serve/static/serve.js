"use strict";
// The page of a served model. What comes from data is only ever set as text.

const $ = (id) => document.getElementById(id);
const state = { about: null, ask: null, image: null, radius: null, attacks: new Map(), run: 0 };

function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

class Refused extends Error {
  constructor(status, body) {
    const error = body.error || {};
    super(error.message || `The server answered ${status}.`);
    this.status = status;
    this.problems = error.problems || [];
  }
  get text() {
    return [this.message, ...this.problems.map((p) => `${p.field} ${p.reason}`)].join("\n");
  }
}

async function ask(path, body) {
  if (window.answerHere) return window.answerHere(path, body);  // a page without a server
  const headers = {};
  const token = sessionStorage.getItem("token");
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const method = body === undefined ? "GET" : "POST";
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: JSON.stringify(body) });
  } catch {
    throw new Refused(0, { error: { message: "The server cannot be reached." } });
  }
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, content);
  return content;
}

const percent = (p) => (p >= 0.9995 && p < 1 ? "> 99.9\u00a0%" : `${(100 * p).toFixed(1)}\u00a0%`);
const number = (v) => (Number.isInteger(v) ? String(v) : Number(v.toPrecision(4)).toString());

// --- what is sent ---------------------------------------------------------------------------

// A field that takes a file, chosen or dropped; `use` gets its `data:` address and its name.
function dropField(accept, parts, use) {
  const file = el("input", { type: "file", accept, class: "unseen", id: "file" });
  const drop = el("label", { class: "drop", for: "file" }, file, ...parts);
  function take(picked) {
    if (!picked) return;
    const reader = new FileReader();
    reader.onload = () => use(reader.result, picked.name);
    reader.readAsDataURL(picked);
  }
  file.addEventListener("change", () => { take(file.files[0]); file.value = ""; });
  for (const kind of ["dragover", "dragenter"]) {
    drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
  }
  for (const kind of ["dragleave", "drop"]) {
    drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.remove("over"); });
  }
  drop.addEventListener("drop", (event) => take(event.dataTransfer.files[0]));
  document.addEventListener("paste", (event) => take(event.clipboardData.files[0]));
  return drop;
}

function imageInput(about) {
  const [channels] = about.input.shape;
  const box = el("div");
  const shown = el("img", { alt: "the picture that was chosen", hidden: true });
  const parts = [shown, "Drop a picture here, or choose one", el("span", {}, "pasting works too")];
  const drop = dropField("image/*", parts, (address) => {
    shown.src = address;
    shown.hidden = false;
    predictImage(address);
  });
  state.load = (address) => {
    shown.src = address;
    shown.hidden = false;
    choose(0);
    predictImage(address);
  };
  const tabs = [];
  const panels = [drop];
  function choose(k) {
    tabs.forEach((tab, i) => tab.setAttribute("aria-pressed", String(i === k)));
    panels.forEach((panel, i) => { panel.hidden = i !== k; });
  }
  if (channels === 1) {
    panels.unshift(drawing(about));
    state.load = (address) => { shown.src = address; shown.hidden = false; choose(1); predictImage(address); };
    ["Draw", "Picture"].forEach((name, k) => {
      tabs.push(el("button", { type: "button", class: "quiet", onclick: () => choose(k) }, name));
    });
    box.append(el("div", { class: "tabs", role: "group", "aria-label": "Way of giving a picture" }, ...tabs));
  }
  box.append(...panels);
  choose(0);
  return box;
}

function drawing(about) {
  const [, height, width] = about.input.shape;
  const size = 256;
  const pad = el("canvas", {
    class: "pad", width: size, height: size, tabindex: "0", role: "application",
    "aria-label": "Drawing pad: arrow keys move the pen, the space bar lowers or lifts it, Delete clears",
  });
  const brush = pad.getContext("2d");
  const paper = document.createElement("canvas");  // what is sent: without the pen's mark
  paper.width = paper.height = size;
  const ink = paper.getContext("2d");
  const pen = { x: size / 2, y: size / 2, down: false, shown: false, dirty: false };
  const hint = el("p", { class: "note", id: "pad-hint", role: "status" }, "Fill the pad as the training examples do: with mouse, finger, or arrow keys and the space bar.");
  ink.lineCap = ink.lineJoin = "round";
  ink.lineWidth = Math.max(10, (1.15 * size) / Math.max(height, width));
  ink.strokeStyle = "#fff";
  function show() {
    brush.drawImage(paper, 0, 0);
    if (!pen.shown) return;
    brush.beginPath();
    brush.arc(pen.x, pen.y, 7, 0, 7);
    brush.lineWidth = 3;
    brush.strokeStyle = pen.down ? "#4cc9a0" : "#f2935c";
    brush.stroke();
  }
  function clear() {
    ink.fillStyle = "#000";
    ink.fillRect(0, 0, size, size);
    pen.dirty = false;
    show();
  }
  function line(x, y) {
    ink.beginPath();
    ink.moveTo(pen.x, pen.y);
    ink.lineTo(x + 0.01, y);
    ink.stroke();
    [pen.x, pen.y, pen.dirty] = [x, y, true];
    show();
  }
  const send = () => pen.dirty && predictImage(paper.toDataURL("image/png"));
  const at = (event) => {
    const box = pad.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * size, ((event.clientY - box.top) / box.height) * size];
  };
  pad.addEventListener("pointerdown", (event) => {
    pad.setPointerCapture(event.pointerId);
    pen.shown = false;
    [pen.x, pen.y] = at(event);
    pen.down = true;
    line(pen.x, pen.y);
  });
  pad.addEventListener("pointermove", (event) => {
    if (pen.down && pad.hasPointerCapture(event.pointerId)) line(...at(event));
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    pad.addEventListener(kind, () => { if (pen.down) { pen.down = false; send(); } });
  }
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  pad.addEventListener("keydown", (event) => {
    const move = moves[event.key];
    if (!move && event.key !== " " && event.key !== "Delete") return;
    event.preventDefault();
    pen.shown = true;
    if (event.key === "Delete") return clear();
    if (event.key === " ") {
      pen.down = !pen.down;
      hint.textContent = pen.down ? "The pen is down." : "The pen is up.";
      if (pen.down) line(pen.x, pen.y); else send();
      return show();
    }
    const keep = (v) => Math.min(size - 4, Math.max(4, v));
    const [x, y] = [keep(pen.x + (16 * move[0])), keep(pen.y + (16 * move[1]))];
    if (pen.down) line(x, y); else { [pen.x, pen.y] = [x, y]; show(); }
  });
  pad.addEventListener("blur", () => { pen.shown = pen.down = false; show(); });
  clear();
  const wipe = el("button", { type: "button", class: "quiet", onclick: () => { clear(); pad.focus(); } }, "Clear");
  return el("div", {}, pad, el("div", { class: "line pad-line" }, wipe), hint);
}

function textInput(about) {
  const chain = about.input.tokens === "characters";
  const area = el("textarea", { id: "text", rows: "6", spellcheck: "false", autocapitalize: chain && "off", autocomplete: "off", class: chain ? "chain" : "" });
  const send = () => predict({ text: chain ? area.value.trim() : area.value });
  state.load = (text) => { area.value = text; send(); };
  const form = el("form", { onsubmit: (event) => { event.preventDefault(); send(); } },
    el("label", { for: "text" }, "Text"), area,
    chain ? el("small", { class: "note" }, "Read character by character; small and capital letters differ.") : null,
    el("div", { class: "line pad-line" }, el("button", {}, "Predict")));
  area.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  return form;
}

// Numbers as they are pasted: lines are channels, or steps if there are as many columns as channels.
function numbersOf(text, channels) {
  const lines = text.trim().split(/\n+/).filter((line) => line.trim()).map((line) =>
    line.trim().split(/[\s,;]+/).filter(Boolean).map((word) => {
      if (/^(null|nan|-|–)$/i.test(word)) return null;
      const value = Number(word);
      if (!Number.isFinite(value)) throw new Error(`“${word.slice(0, 40)}” is no number.`);
      return value;
    }));
  if (channels === 1) return lines.flat();
  if (lines.length !== channels && lines.every((line) => line.length === channels)) {
    return lines[0].map((_, k) => lines.map((line) => line[k]));
  }
  return lines;
}

function sequenceInput(about) {
  const { shape: [channels], channels: names, rate } = about.input;
  const area = el("textarea", { id: "numbers", rows: "4", spellcheck: "false", class: "chain" });
  const one = channels === 1;
  const layout = one ? "a number a line" : `a column a channel (${names.slice(0, 4).join(", ")}${channels > 4 ? ", …" : ""}), a line a step`;
  const parts = ["Drop a file here, or choose one",
    el("span", {}, `.csv: ${layout}`),
    window.answerHere ? null  // recordings take a server
      : el("span", {}, `.wav${rate ? `: ${rate.toLocaleString("en")} samples a second` : ""}${one ? "" : `, ${channels} channels`}`)];
  const send = (sequence) => predict({ sequence });
  const drop = dropField(".csv,.wav,text/csv,audio/wav", parts, (address) => { area.value = ""; send(address); });
  drop.classList.add("low");
  state.load = (content) => {
    area.value = content.values.map((row) => row.map((v) => v ?? "null").join(" ")).join("\n");
    send(content.values);
  };
  return el("div", {}, drop,
    el("form", { class: "paste", onsubmit: (event) => {
      event.preventDefault();
      try {
        send(numbersOf(area.value, channels));
      } catch (error) {
        $("problem").textContent = error.message;
      }
    } }, el("label", { for: "numbers" }, "Or paste numbers"), area,
      el("small", { class: "note" }, `${one ? "Separated by blanks, commas or lines" : "A line a channel, or a line a step"}; “null” is a missing value.`),
      el("div", { class: "line pad-line" }, el("button", {}, "Predict"))));
}

const lengthOf = (seen) => {
  const steps = `${seen.steps.toLocaleString("en")} steps`;
  const hidden = seen.channels - seen.lines.length;
  return `${steps}${seen.rate ? ` (${number(seen.steps / seen.rate)} s)` : ""}${hidden > 0 ? `; ${hidden} more channels are not drawn` : ""}`;
};

const SVG = "http://www.w3.org/2000/svg";
function shape(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// Each channel in a band of its own, between its smallest and its largest value.
function chart(seen, label, small = false) {
  const room = Math.min(460, Math.max(240, $("answer").clientWidth));  // so that letters keep their size
  const [width, gap] = [small ? 120 : room, small ? 3 : 8];
  const band = Math.max(small ? 12 : 34, Math.round((small ? 96 : 150) / seen.lines.length) - gap);
  const left = small ? 0 : 52;
  const height = seen.lines.length * (band + gap) + gap;
  const parts = [];
  seen.lines.forEach((line, k) => {
    const known = line.values.filter((v) => v !== null);
    const [low, high] = known.length ? [Math.min(...known), Math.max(...known)] : [0, 0];
    const top = gap + k * (band + gap);
    const x = (step) => left + 1 + ((width - left - 2) * step) / Math.max(1, seen.steps - 1);
    const y = (v) => (high > low ? top + band - (band * (v - low)) / (high - low) : top + band / 2);
    let path = "";
    let open = false;
    line.values.forEach((v, i) => {
      if (v !== null) path += `${open ? "L" : "M"}${x(line.steps[i]).toFixed(1)} ${y(v).toFixed(1)}`;
      if (v !== null && !open && (line.values[i + 1] ?? null) === null) path += "h.01";  // a lone value
      open = v !== null;
    });
    if (!small) {
      parts.push(shape("line", { x1: left, x2: width, y1: top + band + gap / 2, y2: top + band + gap / 2, class: "rule" }));
      const tall = band >= 46;
      const words = seen.lines.length === 1 ? [[number(high), 9], [number(low), band]]
        : tall ? [[number(high), 9], [line.name, band / 2 + 4], [number(low), band]] : [[line.name, band / 2 + 4]];
      words.forEach(([word, at]) => parts.push(shape("text", { x: left - 6, y: top + at }, word.length > 8 ? `${word.slice(0, 7)}…` : word)));
    }
    parts.push(shape("path", { d: path, class: `c${k % 8}` }));
  });
  const names = seen.lines.map((line) => line.name).slice(0, 4).join(", ");
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, class: small ? "trace small" : "trace", role: "img" }, ...parts);
  svg.setAttribute("aria-label", `line chart of ${label}: ${lengthOf(seen)}, ${names}`);
  return svg;
}

const asDay = (days) => new Date(days * 86400000).toISOString().slice(0, 10);

function cell(column, k) {
  const id = `cell-${k}`;
  if (column.kind === "category" || column.kind === "boolean") {
    const words = column.kind === "boolean" ? ["true", "false"] : column.categories;
    const field = el("select", { id }, ...words.map((word) => el("option", { value: word }, word)),
      el("option", { value: "" }, "(missing)"));
    return { field, hint: "", read: () => {
      if (field.value === "") return null;
      return column.kind === "boolean" ? field.value === "true" : field.value;
    }, write: (v) => { field.value = v === null ? "" : column.kind === "boolean" ? String(Boolean(v)) : v; } };
  }
  if (column.kind === "date") {
    const field = el("input", { id, type: "date" });
    field.value = asDay(column.mean);
    return { field, hint: `${asDay(column.minimum)} to ${asDay(column.maximum)} in training`,
      read: () => field.value || null, write: (v) => { field.value = v === null ? "" : asDay(v); } };
  }
  const field = el("input", { id, type: "number", step: "any", inputmode: "decimal" });
  field.value = number(column.mean);
  return { field, hint: `${number(column.minimum)} to ${number(column.maximum)} in training`,
    read: () => (field.value === "" ? null : Number(field.value)),
    write: (v) => { field.value = v === null ? "" : number(v); } };
}

function tableInput(about) {
  const cells = about.input.columns.map((column, k) => ({ column, ...cell(column, k) }));
  const fields = cells.map(({ column, field, hint }) => el("div", { class: "field" },
    el("label", { for: field.id }, column.name), field, el("small", {}, hint)));
  const read = () => Object.fromEntries(cells.map(({ column, read: value }) => [column.name, value()]));
  state.load = (row) => {
    cells.forEach(({ column, write }) => write(row[column.name] ?? null));
    predict({ row: read() });
  };
  state.mark = (problems) => {
    for (const { column, field } of cells) {
      const wrong = problems.some((p) => p.field === `row.${column.name}`);
      field.setAttribute("aria-invalid", String(wrong));
    }
  };
  return el("form", { novalidate: true, onsubmit: (event) => { event.preventDefault(); predict({ row: read() }); } },
    el("div", { class: "fields" }, ...fields), el("button", {}, "Predict"));
}

// --- what comes back ------------------------------------------------------------------------

function predictImage(address) {
  state.image = address;
  return predict({ image: address });
}

async function predict(body) {
  const run = ++state.run;
  const include = [];
  if (state.about.examples) include.push("nearest");
  if (["image", "sequence"].includes(state.about.input.kind)) include.push("seen");
  $("answer").setAttribute("aria-busy", "true");
  try {
    const answer = await ask("/predict", { ...body, include });
    if (run !== state.run) return;  // a later one is on its way
    $("problem").textContent = "";
    if (state.mark) state.mark([]);
    showAnswer(answer);
  } catch (error) {
    if (run !== state.run) return;
    $("problem").textContent = error.text || String(error);
    if (state.mark) state.mark(error.problems || []);
  } finally {
    if (run === state.run) $("answer").removeAttribute("aria-busy");
  }
  showMonitor();
}

function bars(classes, probabilities, most = 10) {
  const order = probabilities.map((p, k) => [p, k]).sort((a, b) => b[0] - a[0]).slice(0, most);
  const letters = Math.min(14, Math.max(2, ...order.map(([, k]) => classes[k].length)));
  return el("ul", { class: "bars" }, ...order.map(([p, k], place) => {
    const fill = el("span", { class: "fill" });
    fill.style.width = `${100 * p}%`;
    const line = el("li", { class: place === 0 ? "most" : "" },
      el("span", { class: "label", title: classes[k] }, classes[k]),
      el("span", { class: "track", "aria-hidden": "true" }, fill), el("span", { class: "value" }, percent(p)));
    line.style.gridTemplateColumns = `${letters + 2}ch minmax(0,1fr) 64px`;
    return line;
  }));
}

function showAnswer(answer) {
  const [row] = answer.predictions;
  state.seen = row.seen;
  const isImage = state.about.input.kind === "image";
  const box = $("answer");
  const parts = [];
  if (row.values) {
    row.values.forEach((value, k) => parts.push(
      el("p", { class: "said" }, number(value), " ", el("small", {}, answer.classes[k]))));
  } else {
    const said = row.label ?? (row.labels.join(", ") || "none");
    const sure = row.probability === undefined ? null : el("small", {}, ` ${percent(row.probability)}`);
    const seen = row.seen && isImage ? el("figure", { class: "seen" },
      el("img", { src: row.seen, alt: "the picture as the network receives it" }), el("figcaption", {}, "as received")) : null;
    parts.push(el("div", { class: "answer-top" }, el("div", {}, el("p", { class: "said" }, said, sure), calibration(answer)), seen));
    parts.push(bars(answer.classes, row.probabilities));
  }
  if (row.seen && !isImage) {
    parts.push(el("figure", { class: "read" }, chart(row.seen, "what was read"), el("figcaption", {}, `as received: ${lengthOf(row.seen)}`)));
  }
  if (row.notes.length) parts.push(el("ul", { class: "odd" }, ...row.notes.map((note) => el("li", {}, note))));
  if (state.about.log && row.label !== undefined) parts.push(feedback(row, answer.classes));
  box.replaceChildren(...parts);
  showNearest(row.nearest);
  if (state.about.attack.possible) findRadius(row.label);
}

function calibration(answer) {
  const found = answer.calibration;
  if (found.method === "none") return el("p", { class: "note" }, "The probabilities are not calibrated.");
  const error = found.measured_on_test;
  const measured = error ? `; off by ${(100 * error.value).toFixed(1)} points on average on ${error.n} test rows` : "";
  return el("p", { class: "note" }, `Calibrated by ${found.method}, T = ${number(found.temperature)}${measured}.`);
}

function feedback(row, classes) {
  const state_ = el("span", { role: "status" });
  const pick = el("select", { "aria-label": "What is true" }, ...classes.map((c) => el("option", {}, c)));
  pick.value = row.label;
  const send = el("button", { type: "button", class: "quiet", onclick: async () => {
    try {
      await ask("/feedback", { id: row.id, truth: pick.value });
      state_.textContent = "Noted.";
    } catch (error) {
      state_.textContent = error.text || String(error);
    }
    showMonitor();
  } }, "Tell");
  return el("div", { class: "told" }, el("span", {}, "What is it really?"), pick, send, state_);
}

function showNearest(found) {
  $("nearest").hidden = !found;
  if (!found) return;
  const { rows, near_by: where } = state.about.examples;
  $("nearest-note").textContent = `Out of ${rows.toLocaleString("en")} training rows; near by ${where}. Choose one to try it.`;
  const kind = state.about.input.kind;
  if (kind === "image") {
    $("nearest-list").replaceChildren(el("div", { class: "gallery" }, ...found.map((each) =>
      el("figure", {}, el("button", { class: "example", type: "button", onclick: () => state.load(each.content) },
        el("img", { src: each.content, alt: `training row ${each.row}` }),
        el("figcaption", {}, el("b", {}, each.truth), ` row ${each.row}`, el("br"), `distance ${number(each.distance)}`))))));
    return;
  }
  if (kind === "sequence") {
    $("nearest-list").replaceChildren(el("div", { class: "gallery" }, ...found.map((each) => {
      const drawn = [chart(each.content, `training row ${each.row}`, true),
        el("figcaption", {}, el("b", {}, each.truth), ` row ${each.row}`, el("br"), `distance ${number(each.distance)}`)];
      return el("figure", {}, each.content.values
        ? el("button", { class: "example", type: "button", onclick: () => state.load(each.content) }, ...drawn)
        : el("div", { class: "example" }, ...drawn));
    })));
    if (!found.some((each) => each.content.values)) $("nearest-note").textContent = `Out of ${rows.toLocaleString("en")} training rows; near by ${where}.`;
    return;
  }
  const names = kind === "text" ? ["text"] : state.about.input.columns.map((c) => c.name);
  const shown = (each, name) => {
    const value = kind === "text" ? each.content : each.content[name];
    return value === null ? "–" : typeof value === "number" ? number(value) : String(value);
  };
  const rowsShown = found.map((each) => el("tr", {},
    el("td", {}, el("button", { class: "quiet", type: "button", onclick: () => state.load(each.content) }, `Row ${each.row}`)),
    el("td", {}, each.truth), el("td", { class: "num" }, number(each.distance)),
    ...names.map((name) => el("td", {}, shown(each, name)))));
  const head = ["", "truth", "distance", ...names].map((name) =>
    el("th", { scope: "col", class: name === "distance" ? "num" : "" }, name));
  $("nearest-list").replaceChildren(el("div", { class: "scroll", tabindex: "0", role: "region", "aria-labelledby": "nearest-title" },
    el("table", { class: state.about.input.tokens === "characters" ? "text chain" : kind }, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rowsShown))));
}

// --- how far an image may change --------------------------------------------------------------

async function findRadius(label) {
  const run = state.run;
  state.attacks = new Map();
  $("radius").hidden = false;
  $("radius-body").hidden = true;
  $("radius-state").textContent = "Attacking and proving …";
  try {
    const found = await ask("/radius", { image: state.image });
    if (run !== state.run) return;
    state.radius = { ...found, label };
    drawZones(found);
  } catch (error) {
    if (run === state.run) $("radius-state").textContent = error.text || String(error);
  }
}

function drawZones(found) {
  const most = found.broken === null ? 128 : Math.min(128, Math.max(2 * found.broken, 16));
  const open = (found.broken ?? most + 1) - 1 - found.proved;
  const [proved, between, broken] = $("radius-body").querySelectorAll(".zones span");
  proved.style.width = `${(100 * found.proved) / most}%`;
  between.style.width = `${(100 * Math.max(0, open)) / most}%`;
  broken.style.width = `${Math.max(0, 100 - (100 * (found.proved + open)) / most)}%`;
  const parts = [`Proved up to ${found.proved}/255 (${found.proof})`];
  parts.push(found.broken === null ? "no attack broke it" : `broken from ${found.broken}/255 on`);
  if (!found.complete) parts.push("the time was up, so both may be wider");
  $("radius-state").textContent = `${parts.join("; ")}. ${found.seconds.toFixed(1)} s.`;
  const slider = $("radius-slider");
  slider.max = String(most);
  slider.value = String(Math.min(most, found.broken ?? found.proved));
  $("radius-body").hidden = false;
  showRadius();
}

async function showRadius() {
  const run = state.run;
  const radius = Number($("radius-slider").value);
  const { proved, broken, label } = state.radius;
  const pictures = $("radius-pictures");
  let text;
  if (radius <= proved) {
    text = radius === 0 ? "No change: the prediction stands." : `Proved: whatever is done to the pixels within ${radius}/255, the prediction stays ${label}.`;
    pictures.replaceChildren();
  } else if (broken === null || radius < broken) {
    text = `Within ${radius}/255 no attack was found, and none is ruled out.`;
    pictures.replaceChildren();
  } else {
    text = `Within ${radius}/255 …`;
  }
  $("radius-text").textContent = text;
  $("radius-slider").setAttribute("aria-valuetext", `${radius} of 255. ${text}`);
  if (radius <= proved || broken === null || radius < broken) return;
  try {
    let found = state.attacks.get(radius);
    if (!found) {
      found = await ask("/attack", { image: state.image, radius });
      state.attacks.set(radius, found);
    }
    if (run !== state.run || Number($("radius-slider").value) !== radius) return;
    const best = Math.max(...found.probabilities);
    text = found.fooled
      ? `Within ${radius}/255 an attack turns ${label} into ${found.label} (${percent(best)}).`
      : `Within ${radius}/255 this attack found nothing, though a smaller radius was enough for another.`;
    pictures.replaceChildren(
      el("figure", {}, el("img", { src: state.seen, alt: `the picture as it was, read as ${label}` }),
        el("figcaption", {}, "as it was: read as ", el("b", {}, label))),
      el("figure", {}, el("img", { src: found.image, alt: `the attacked picture, read as ${found.label}` }),
        el("figcaption", {}, found.fooled ? "attacked: read as " : "attacked: still read as ", el("b", {}, found.label))));
  } catch (error) {
    text = error.text || String(error);
  }
  $("radius-text").textContent = text;
  $("radius-slider").setAttribute("aria-valuetext", `${radius} of 255. ${text}`);
}

// --- what watches over it ---------------------------------------------------------------------

async function showMonitor() {
  let found;
  try {
    found = await ask("/monitor");
  } catch {
    return;
  }
  const figures = [["last rows", String(found.rows), ""]];
  if (found.logged !== null) figures.push(["answers in the log", found.logged.toLocaleString("en"), ""]);
  if (found.accuracy) {
    const { value, low, high, n } = found.accuracy;
    figures.push(["accuracy, as told", percent(value), `${percent(low)} to ${percent(high)}, ${n} rows`]);
  }
  const parts = [el("dl", { class: "figures" }, ...figures.map(([name, value, more]) =>
    el("div", {}, el("dt", {}, name), el("dd", {}, value, " ", el("small", {}, more)))))];
  if (found.drift === null) {
    parts.push(el("p", { class: "note" }, "Drift is not measured: the training rows are not at hand."));
  } else if (found.rows < 100) {
    parts.push(el("p", { class: "note" }, `Drift is judged from 100 rows on; there are ${found.rows}.`));
  } else {
    const shifted = found.drift.filter((c) => c.state === "shifted").length;
    parts.push(el("p", {}, shifted ? el("span", { class: "badge shifted" }, `${shifted} of ${found.drift.length} have shifted`)
      : el("span", { class: "badge steady" }, "steady")));
    parts.push(driftTable(found.drift));
  }
  $("monitor-body").replaceChildren(...parts);
}

function driftTable(columns) {
  const order = [...columns].sort((a, b) => b.psi - a.psi);
  const head = [["column", ""], ["training", ""], ["now", ""], ["index", "num"], ["distance", "num"], ["", ""]];
  const body = order.map((c) => el("tr", {}, el("th", { scope: "row" }, c.name), el("td", {}, c.before), el("td", {}, c.now),
    el("td", { class: "num" }, c.psi.toFixed(3)), el("td", { class: "num" }, c.ks === null ? "–" : c.ks.toFixed(3)),
    el("td", {}, el("span", { class: `badge ${c.state}` }, c.state))));
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Drift by column" }, el("table", {},
    el("caption", {}, "Population stability index, and largest distance of the distribution functions"),
    el("thead", {}, el("tr", {}, ...head.map(([name, kind]) => el("th", { scope: "col", class: kind }, name)))),
    el("tbody", {}, ...body)));
}

function showFindings(findings) {
  const judged = findings.filter((f) => f.judgement || f.measurement);
  if (!judged.length) return;
  $("findings").hidden = false;
  $("findings-table").replaceChildren(el("tbody", {}, ...judged.map((f) => el("tr", {},
    el("th", { scope: "row" }, f.requirement || f.title),
    el("td", {}, f.judgement ? el("span", { class: `badge ${f.judgement.verdict}` }, f.judgement.verdict) : ""),
    el("td", {}, f.summary)))));
}

// --- beginning --------------------------------------------------------------------------------

async function begin() {
  let about;
  try {
    about = await ask("/metadata");
  } catch (error) {
    const wanted = error.status === 401;
    $("token-form").hidden = !wanted;
    if (wanted) {
      $("token-error").textContent = sessionStorage.getItem("token") ? "That is not the token." : "";
      $("token").focus();
    } else {
      $("about").textContent = error.text || String(error);
    }
    return;
  }
  state.about = about;
  $("token-form").hidden = true;
  document.title = `${about.name} · Netwright`;
  $("name").textContent = about.name;
  const kinds = { class: "classes", labels: "labels", value: "value", values: "values" };
  const [channels, length] = about.input.shape;
  const takes = { image: "an image", text: about.input.tokens === "characters" ? "a text, character by character" : "a text", table: "a row of a table",
    sequence: `a sequence of ${channels === 1 ? "one channel" : `${channels} channels`}, ${(length ?? 0).toLocaleString("en")} steps at most` };
  const width = about.target.classes.length || about.target.names.length;
  $("about").textContent = `Takes ${takes[about.input.kind]}, gives ${width === 1 ? "one" : width} ${kinds[about.target.kind]}. ${(about.bytes / 1000).toFixed(1)} kB, version ${about.version}.`;
  $("notes").hidden = !about.notes.length;
  $("notes").replaceChildren(...about.notes.map((note) => el("li", {}, note)));
  const make = { image: imageInput, text: textInput, table: tableInput, sequence: sequenceInput };
  $("input").replaceChildren(make[about.input.kind](about));
  $("main").hidden = false;
  showFindings(about.findings);
  showMonitor();
}

$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", $("token").value);
  begin();
});
$("radius-slider").addEventListener("input", showRadius);
begin();
