"use strict";
// From what the page or a script gives to the numbers that the network takes: a list a channel, or
// a CSV file with a column a channel. Recordings (WAV) are for a server to read.

const MOST_POINTS = 400;  // of a drawn line

function sequenceFeed(items, places) {
  const { shape: [channels, length] } = packed.about.input;
  const rows = items.map((item, k) => {
    let made;
    try {
      made = typeof item === "string" ? fromCsv(item, channels) : Array.isArray(item[0]) ? item : [item];
    } catch (error) {
      throw refuse(places[k], error.message);
    }
    const steps = made[0]?.length ?? 0;
    if (made.length !== channels || !steps || made.some((row) => row.length !== steps)) {
      throw refuse(places[k], `must be ${channels} lists of one length, one a channel`);
    }
    const isNumber = (v) => v === null || (typeof v === "number" && Math.abs(v) <= LARGEST);
    if (!made.every((row) => row.every(isNumber))) throw refuse(places[k], "must hold numbers or null");
    if (!made.some((row) => row.slice(0, length).some((v) => v !== null))) {
      throw refuse(places[k], `has no value in its first ${length} steps`);
    }
    return made;
  });
  const steps = Math.max(...rows.map((row) => row[0].length));
  const values = new Float32Array(rows.length * channels * steps).fill(NaN);  // NaN follows the end
  rows.forEach((row, k) => row.forEach((line, c) => {
    values.set(line.map((v) => v ?? NaN), (k * channels + c) * steps);
  }));
  return [{ sequence: new ort.Tensor("float32", values, [rows.length, channels, steps]) }, rows];
}

function fromCsv(address, channels) {
  const bytes = fromBase64(address.slice(address.indexOf(",") + 1));
  if (String.fromCharCode(...bytes.slice(0, 4)) === "RIFF") {
    throw new Error("is a recording, which this page does not read; give its numbers, or use a server");
  }
  const lines = new TextDecoder().decode(bytes).trim().split(/\r?\n/);
  const isHead = lines[0].split(/[,;\t]/).some((word) => word.trim() && Number.isNaN(Number(word)) && !/^nan$/i.test(word.trim()));
  const table = lines.slice(isHead ? 1 : 0).map((line) => line.split(/[,;\t]/).map((word) => {
    if (!word.trim() || /^(nan|null)$/i.test(word.trim())) return null;
    if (!Number.isFinite(Number(word))) throw new Error(`holds “${word.slice(0, 40)}”, which is no number`);
    return Number(word);
  }));
  return Array.from({ length: channels }, (_, c) => table.map((row) => (row.length === channels ? row[c] : undefined)));
}

function traced(row) {
  const { shape: [channels, length], channels: names, rate } = packed.about.input;
  const steps = Math.min(length, row[0].length);
  const stride = Math.ceil(steps / MOST_POINTS);
  const lines = row.slice(0, 8).map((line, c) => {
    const places = Array.from({ length: Math.ceil(steps / stride) }, (_, i) => i * stride);
    return { name: names[c] ?? `x${c}`, steps: places, values: places.map((i) => line[i]) };
  });
  return { steps, rate, channels, lines };
}
