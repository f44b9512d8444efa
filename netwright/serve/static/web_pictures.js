"use strict";
// From a picture's bytes to the pixels that the network takes, as Pillow makes them on the server:
// white behind what is transparent, grey by ITU-R 601, scaled to fit inside with its aspect kept,
// in the middle of black. PNG files come out the same to the bit; JPEG files as this browser's
// decoder has them, which may be a grey level off.

const MOST_PIXELS = 25000000;

async function decodePicture(bytes, shape) {
  const bitmap = await createImageBitmap(new Blob([bytes]), { premultiplyAlpha: "none", colorSpaceConversion: "none" });
  const { width, height } = bitmap;
  if (width * height > MOST_PIXELS) throw new Error(`${width} x ${height} pixels are too many`);
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const seen = context.getImageData(0, 0, width, height).data;  // red, green, blue, alpha
  const planes = shape[0] === 1 ? [grey(seen)] : [0, 1, 2].map((k) => plane(seen, k));
  const fitted = planes.map((each) => fit(each, height, width, shape[1], shape[2]));
  const pixels = new Uint8Array(shape[0] * shape[1] * shape[2]);
  fitted.forEach((each, k) => pixels.set(each, k * shape[1] * shape[2]));
  return pixels;
}

function plane(seen, k) {
  const made = new Uint8Array(seen.length / 4);
  for (let i = 0; i < made.length; i += 1) {
    const alpha = seen[4 * i + 3];
    made[i] = alpha === 255 ? seen[4 * i + k] : Math.round((seen[4 * i + k] * alpha + 255 * (255 - alpha)) / 255);
  }
  return made;
}

function grey(seen) {
  const [red, green, blue] = [0, 1, 2].map((k) => plane(seen, k));
  return red.map((r, i) => (19595 * r + 38470 * green[i] + 7471 * blue[i] + 32768) >> 16);
}

function fit(pixels, height, width, rows, columns) {
  if (height === rows && width === columns) return pixels;
  const scale = Math.min(rows / height, columns / width);
  const inner = [height, width].map((size, k) =>
    Math.min(Math.max(1, roundHalfToEven(size * scale)), k ? columns : rows));
  const resized = resize(pixels, height, width, ...inner);
  const frame = new Uint8Array(rows * columns);
  const [top, left] = [Math.floor((rows - inner[0]) / 2), Math.floor((columns - inner[1]) / 2)];
  for (let y = 0; y < inner[0]; y += 1) {
    frame.set(resized.subarray(y * inner[1], (y + 1) * inner[1]), (top + y) * columns + left);
  }
  return frame;
}

function roundHalfToEven(value) {
  const low = Math.floor(value);
  if (value - low !== 0.5) return Math.round(value);
  return low + (low % 2);
}

// Means of whole blocks while the picture is more than four times too large, then a triangle filter.
function resize(pixels, height, width, rows, columns) {
  const blocks = [Math.trunc(height / rows / 2) || 1, Math.trunc(width / columns / 2) || 1];
  const ends = [height / blocks[0], width / blocks[1]];  // where the picture ends, in blocks
  let found = pixels;
  let [h, w] = [height, width];
  if (blocks[0] > 1 || blocks[1] > 1) {
    found = reduce(pixels, height, width, ...blocks);
    [h, w] = [Math.ceil(ends[0]), Math.ceil(ends[1])];
  }
  const across = () => { found = filtered(found, h, w, columns, ends[1], false); w = columns; };
  const down = () => { found = filtered(found, h, w, rows, ends[0], true); h = rows; };
  const tall = h > 100 * w && rows < h;  // Pillow's order for a strip
  if (tall) down();
  if (w !== columns || ends[1] !== columns) across();
  if (!tall && (h !== rows || ends[0] !== rows)) down();
  return found;
}

function reduce(pixels, height, width, tall, wide) {
  const [rows, columns] = [Math.ceil(height / tall), Math.ceil(width / wide)];
  const made = new Uint8Array(rows * columns);
  for (let y = 0; y < rows; y += 1) {
    for (let x = 0; x < columns; x += 1) {
      const [bottom, right] = [Math.min(height, (y + 1) * tall), Math.min(width, (x + 1) * wide)];
      const n = (bottom - y * tall) * (right - x * wide);
      let sum = Math.floor(n / 2);
      for (let i = y * tall; i < bottom; i += 1) {
        for (let j = x * wide; j < right; j += 1) sum += pixels[i * width + j];
      }
      made[y * columns + x] = Math.floor((sum * Math.floor(Math.fround(2 ** 32 / (256 * n)))) / 2 ** 24);
    }
  }
  return made;
}

function filtered(pixels, height, width, size, end, down) {
  const [before, lines] = down ? [height, width] : [width, height];
  const scale = Math.fround(end) / size;
  const support = Math.max(1, scale);
  const made = new Uint8Array(size * lines);
  for (let place = 0; place < size; place += 1) {
    const centre = (place + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const last = Math.min(before, Math.trunc(centre + support + 0.5));
    const weights = [];
    for (let i = first; i < last; i += 1) {
      weights.push(Math.max(0, 1 - Math.abs((i - centre + 0.5) * (1 / support))));
    }
    const total = weights.reduce((a, b) => a + b, 0);
    const whole = weights.map((weight) => Math.trunc(0.5 + (weight / total) * 2 ** 22));
    for (let line = 0; line < lines; line += 1) {
      let sum = 2 ** 21;
      whole.forEach((weight, k) => {
        sum += weight * pixels[down ? (first + k) * width + line : line * width + first + k];
      });
      const value = Math.min(255, Math.floor(sum / 2 ** 22));
      made[down ? place * width + line : line * size + place] = value;
    }
  }
  return made;
}
