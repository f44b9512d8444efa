// Decode a .nwz file (docs/nwz.md) in a browser or in Node, without any library.
// decodeNwz(bytes) takes a Uint8Array and returns [{name, type, shape, data}]; `data` holds the
// tensor's little-endian bytes. What is damaged or hostile throws an Error.
"use strict";

const NWZ_TYPES = ["float32", "float16", "float64", "int64", "int32", "int16", "int8", "uint8", "bool"];
const NWZ_WIDTHS = [4, 2, 8, 8, 4, 2, 1, 1, 1];
const NWZ_DENSE = 16, NWZ_SPARSE = 17, NWZ_GRID = 18, NWZ_DENSEST = 2048;

function nwzRequire(fine, otherwise) {
  if (!fine) throw new Error(`The .nwz file is damaged: ${otherwise}. Copy or write it again.`);
}

class NwzCursor {
  constructor(bytes) { this.bytes = bytes; this.place = 8; }
  take(n) {
    nwzRequire(n <= this.bytes.length - this.place, `it is cut short at byte ${this.place}`);
    this.place += n;
    return this.bytes.subarray(this.place - n, this.place);
  }
  number() {  // seven bits a byte, the lowest first; beyond 2^53 no length fits any file
    let value = 0, scale = 1, byte = 128;
    while (byte & 128) {
      nwzRequire(scale < 2 ** 53, `a number at byte ${this.place} does not end`);
      byte = this.take(1)[0];
      value += (byte & 127) * scale;
      scale *= 128;
    }
    return value;
  }
}

function nwzChecksum(bytes) {  // CRC-32 as in zlib
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let k = 0; k < 8; k++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

function nwzSymbols(cursor) {
  const count = cursor.number(), n = cursor.number();
  const packed = cursor.take(Math.ceil(n / 2));
  const stream = cursor.take(cursor.number());
  const lengths = Array.from({ length: n }, (_, i) => (i % 2 ? packed[i >> 1] & 15 : packed[i >> 1] >> 4));
  const order = lengths.map((_, i) => i).filter((i) => lengths[i]);
  order.sort((a, b) => lengths[a] - lengths[b] || a - b);
  const longest = order.length ? lengths[order[order.length - 1]] : 1;
  const filled = order.reduce((sum, i) => sum + 2 ** (longest - lengths[i]), 0);
  nwzRequire((order.length === 1 || filled === 2 ** longest || !count) && count <= 8 * stream.length,
    "a stream has no prefix code");
  const table = new Uint32Array(2 ** longest);
  let at = 0;
  while (order.length && at < table.length) {  // a code that stands alone fills the table twice
    for (const i of order) { table.fill(i, at, at + 2 ** (longest - lengths[i])); at += 2 ** (longest - lengths[i]); }
  }
  const found = new Uint32Array(count);
  let place = 0;
  for (let k = 0; k < count; k++) {
    let word = 0;
    for (let b = place; b < place + longest; b++) {
      word = 2 * word + (((stream[b >> 3] ?? 0) >> (7 - (b & 7))) & 1);
    }
    found[k] = table[word];
    place += lengths[found[k]];
    nwzRequire(place <= 8 * stream.length, "a stream of codes is cut short");
  }
  nwzRequire(place > 8 * stream.length - 8, "a stream of codes goes on after its last");
  return found;
}

function nwzHalf(bits) {  // a float16 as a number
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, rest = bits & 1023;
  if (exponent === 31) return rest ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + rest / 1024) : 2 ** -14 * (rest / 1024));
}

function nwzBook(cursor) {  // the bits of each value
  const form = cursor.take(1)[0], n = cursor.number();
  nwzRequire(form <= 2, `a code book has the form ${form}`);
  const widths = [4, 2, 1];
  const step = form === 2 ? new DataView(cursor.take(4).slice().buffer).getFloat32(0, true) : 1;
  const view = new DataView(cursor.take(widths[form] * n).slice().buffer);
  const book = new DataView(new ArrayBuffer(4 * n));
  for (let i = 0; i < n; i++) {
    if (form === 0) book.setUint32(4 * i, view.getUint32(4 * i, true), true);
    else if (form === 1) book.setFloat32(4 * i, nwzHalf(view.getUint16(2 * i, true)), true);
    else book.setFloat32(4 * i, Math.fround(step * view.getInt8(i)), true);
  }
  return { n, bits: (i) => book.getUint32(4 * i, true) };
}

function nwzCoded(cursor, size, sparse) {
  const book = nwzBook(cursor), places = [];
  if (sparse) {  // a gap says how many zeros to skip; no value follows the widest one
    const widest = cursor.take(1)[0];
    let end = 0;
    for (const gap of nwzSymbols(cursor)) {
      end += gap;
      if (gap !== widest) places.push(end++);
    }
    nwzRequire(end <= size, "values stand beyond the end of their tensor");
  }
  const codes = nwzSymbols(cursor);
  nwzRequire(codes.length === (sparse ? places.length : size), `${codes.length} codes stand for another number`);
  const flat = new DataView(new ArrayBuffer(4 * size));
  codes.forEach((code, k) => {
    nwzRequire(code < book.n, `a code is not among the ${book.n} of its book`);
    flat.setUint32(4 * (sparse ? places[k] : k), book.bits(code), true);
  });
  return new Uint8Array(flat.buffer);
}

function nwzGrid(cursor, size) {  // an adaptive arithmetic code of whole multiples of a step
  const step = new DataView(cursor.take(4).slice().buffer).getFloat32(0, true);
  const first = (cursor.take(1)[0] << 24) >> 24, n = cursor.take(1)[0];
  const stream = cursor.take(cursor.number());
  nwzRequire(n && size <= 64 * stream.length, "a stream is too short for its tensor");
  const counts = new Array(n).fill(1), flat = new DataView(new ArrayBuffer(4 * size));
  let left = 0, place = 0, span = 2 ** 48;  // below 2^53 all of this is exact
  while (place < 6) left = left * 256 + (stream[place++] ?? 0);
  for (let k = 0; k < size; k++) {
    const unit = Math.floor(span / (n + 2 * k));
    let code = 0;
    while (code < n - 1 && left >= unit * counts[code]) left -= unit * counts[code++];
    span = unit * counts[code];
    counts[code] += 2;
    nwzRequire(left < span, "a stream leaves its codes");
    for (; span < 2 ** 40; span *= 256) left = left * 256 + (stream[place++] ?? 0);
    flat.setFloat32(4 * k, Math.fround(step * (first + code)), true);
  }
  nwzRequire(place >= stream.length, "a stream goes on after its last code");
  return new Uint8Array(flat.buffer);
}

function decodeNwz(bytes, most = 2 ** 30) {
  nwzRequire([0x4e, 0x57, 0x5a, 1].every((byte, i) => bytes[i] === byte), "it does not begin with `NWZ` and the version 1");
  const written = bytes[4] + 2 ** 8 * bytes[5] + 2 ** 16 * bytes[6] + 2 ** 24 * bytes[7];
  nwzRequire(bytes.length > 8 && nwzChecksum(bytes.subarray(8)) === written, "its checksum is wrong");
  const cursor = new NwzCursor(bytes), tensors = new Map();
  cursor.take(cursor.number());
  let left = NWZ_DENSEST * bytes.length;
  for (let k = cursor.number(); k > 0; k--) {
    const name = new TextDecoder().decode(cursor.take(cursor.number()));
    const kind = cursor.take(1)[0], axes = cursor.take(1)[0];
    const shape = Array.from({ length: axes }, () => cursor.number());
    const size = shape.reduce((product, n) => product * n, 1);
    nwzRequire(!tensors.has(name), `\`${name}\` stands there twice`);
    const known = kind < NWZ_TYPES.length || [NWZ_DENSE, NWZ_SPARSE, NWZ_GRID].includes(kind);
    nwzRequire(known && axes <= 16, `\`${name}\` has the kind ${kind}, ${axes} axes`);
    const width = NWZ_WIDTHS[kind] ?? 4;
    left -= size;
    most -= size * width;
    const fits = left >= 0 && most >= 0 && shape.every((n) => n <= NWZ_DENSEST * bytes.length);
    nwzRequire(fits, `\`${name}\` claims more elements than the file can hold or the reader allows`);
    let data;
    if (kind < NWZ_TYPES.length) data = cursor.take(size * width).slice();
    else data = kind === NWZ_GRID ? nwzGrid(cursor, size) : nwzCoded(cursor, size, kind === NWZ_SPARSE);
    tensors.set(name, { name, type: NWZ_TYPES[kind] ?? "float32", shape, data });
  }
  nwzRequire(cursor.place === bytes.length, "bytes are left over at its end");
  return [...tensors.values()];
}

if (typeof module !== "undefined") module.exports = { decodeNwz };
