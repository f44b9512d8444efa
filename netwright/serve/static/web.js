"use strict";
// Answers the page's questions here, with ONNX Runtime Web, as a server of Netwright would.
// `runtime.js` and `model.js` stand before this file and set `packed`.

const FIELDS = {
  image: ["images", "image"], table: ["rows", "row"], text: ["texts", "text"], sequence: ["sequences", "sequence"],
};
const LARGEST = 3.4028234663852886e38;
let session = null;

function fromBase64(text) {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i += 1) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

async function unpack(text) {
  const stream = new Blob([fromBase64(text)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function openModel() {
  ort.env.wasm.numThreads = 1;  // several want headers that only a server can set
  ort.env.wasm.wasmBinary = await unpack(packed.wasm);
  const glue = new Blob([await unpack(packed.glue)], { type: "text/javascript" });
  ort.env.wasm.wasmPaths = { mjs: URL.createObjectURL(glue) };
  return ort.InferenceSession.create(await unpack(packed.model), { executionProviders: ["wasm"] });
}

function refuse(field, reason) {
  return new Refused(422, {
    error: { message: "The request does not fit the model.", problems: [{ field, reason }] },
  });
}

async function answerHere(path, body) {
  if (path === "/metadata") {
    $("about").textContent = "Loading …";
    session ??= openModel();
    await session;
    return packed.about;
  }
  if (path !== "/predict") throw new Refused(404, { error: { message: "There is no server behind this page." } });
  session ??= openModel();
  return predictHere(body, await session);
}

async function predictHere(body, opened) {
  const { kind } = packed.about.input;
  const [many, one] = FIELDS[kind];
  const items = body[many] ?? [body[one]];
  const places = items.map((_, k) => (body[many] ? `${many}[${k}]` : one));
  const notes = items.map(() => []);
  let feed;
  let seen = null;
  if (kind === "image") [feed, seen] = await imageFeed(items, places);
  else if (kind === "sequence") [feed, seen] = sequenceFeed(items, places);
  else if (kind === "text") feed = textFeed(items, places);
  else feed = tableFeed(items, places, notes);
  const draw = kind === "image" ? shown : traced;
  const name = packed.outputs;
  const found = (await opened.run(feed, [name]))[name];
  const width = found.dims[1] ?? 1;
  const predictions = items.map((_, k) => {
    const row = Array.from(found.data.subarray(k * width, (k + 1) * width));
    return { ...described(row), notes: notes[k], ...(seen ? { seen: draw(seen[k]) } : {}) };
  });
  const { name: model, version, calibration } = packed.about;
  return { model, version, classes: packed.classes, calibration, predictions };
}

function described(row) {
  if (row.some((value) => !Number.isFinite(value))) {
    throw refuse("row", "the answer is no finite number; are its values sane?");
  }
  const { kind, classes } = packed.about.target;
  if (kind !== "class" && kind !== "labels") return { values: row };
  if (kind === "labels") {
    return { labels: classes.filter((_, k) => row[k] >= 0.5), probabilities: row };
  }
  const best = row.indexOf(Math.max(...row));
  return { label: classes[best], probability: row[best], probabilities: row };
}

async function imageFeed(items, places) {
  const { shape } = packed.about.input;
  const size = shape.reduce((a, b) => a * b, 1);
  const pixels = new Uint8Array(items.length * size);
  for (const [k, item] of items.entries()) {
    let made;
    try {
      made = typeof item === "string" ? await decodePicture(fromBase64(item.slice(item.indexOf(",") + 1)), shape)
        : fromLists(item);
    } catch (error) {
      throw refuse(places[k], `is no picture that this browser reads: ${error.message}`);
    }
    if (made.length !== size) throw refuse(places[k], `must be pixels of shape ${shape.join(" x ")}`);
    pixels.set(made, k * size);
  }
  const rows = items.map((_, k) => pixels.subarray(k * size, (k + 1) * size));
  return [{ image: new ort.Tensor("uint8", pixels, [items.length, ...shape]) }, rows];
}

function fromLists(item) {
  const numbers = item.flat(2);
  if (!numbers.every((v) => Number.isInteger(v) && v >= 0 && v <= 255)) throw new Error("pixels are whole numbers 0 to 255");
  return Uint8Array.from(numbers);
}

function shown(pixels) {
  const [channels, height, width] = packed.about.input.shape;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  for (let i = 0; i < height * width; i += 1) {
    for (let k = 0; k < 3; k += 1) image.data[4 * i + k] = pixels[(k % channels) * height * width + i];
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  return canvas.toDataURL("image/png");
}

function textFeed(items, places) {
  items.forEach((item, k) => {
    if (typeof item !== "string") throw refuse(places[k], "must be a text");
    if (item.includes("\0")) throw refuse(places[k], "holds a NUL character");
    if (!item.isWellFormed()) throw refuse(places[k], "is no Unicode text: half a surrogate pair");
  });
  return { text: new ort.Tensor("string", items, [items.length]) };
}

function tableFeed(items, places, notes) {
  const feed = {};
  packed.about.input.columns.forEach((column, place) => {
    const cells = items.map((item, k) => {
      const value = (item ?? {})[column.name];
      if (value === undefined) throw refuse(`${places[k]}.${column.name}`, "is missing; null stands for a value that is not known");
      const [found, reason] = cellOf(value, column, notes[k]);
      if (reason) throw refuse(`${places[k]}.${column.name}`, reason);
      return found;
    });
    feed[packed.inputs[place]] = column.kind === "category"
      ? new ort.Tensor("string", cells, [cells.length])
      : new ort.Tensor("float32", Float32Array.from(cells), [cells.length]);
  });
  return feed;
}

// A cell as the graph takes it, and why it cannot be; what is odd but allowed goes to `notes`.
function cellOf(value, column, notes) {
  const { name, kind } = column;
  if (value === null) {
    if (!column.may_be_missing) notes.push(`\`${name}\` was never missing in training.`);
    return [kind === "category" ? "" : NaN, ""];
  }
  if (kind === "category") {
    if (typeof value !== "string") return [null, "must be a text or null"];
    const word = value.trim();
    if (word && !column.categories.includes(word)) notes.push(`\`${name}\`: '${word.slice(0, 40)}' was not seen in training.`);
    return [word, ""];
  }
  if (kind === "boolean") {
    return [true, false, 0, 1].includes(value) ? [Number(value), ""] : [null, "must be true, false or null"];
  }
  const number = kind === "date" && typeof value === "string" ? days(value) : value;
  if (typeof number !== "number" || !(Math.abs(number) <= LARGEST)) {
    return [null, kind === "date" ? "must be a date such as 2024-05-31, days since 1970, or null" : "must be a number or null"];
  }
  if (column.minimum < column.maximum && !(column.minimum <= number && number <= column.maximum)) {
    const ends = [column.minimum, column.maximum].map((v) => Number(v.toPrecision(6))).join(" to ");
    notes.push(`\`${name}\` is outside the training rows' ${ends}.`);
  }
  return [number, ""];
}

function days(text) {
  const word = text.trim();
  const zoned = /T.*(Z|[+-]\d\d:?\d\d)$/.test(word);
  return Date.parse(/T/.test(word) ? (zoned ? word : `${word}Z`) : `${word}T00:00Z`) / 86400000;
}

document.addEventListener("DOMContentLoaded", () => {
  document.getElementById("monitor").remove();
  document.querySelector("footer").replaceChildren(
    el("p", {}, `Runs in this browser, with ONNX Runtime Web ${packed.version}. What you give it is sent nowhere.`));
});
