"use strict";

// Sorting. Heads of columns become buttons, so that the keyboard reaches them.

function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      // Scores begin with the largest, names with the first.
      const first = column === 0 ? "ascending" : "descending";
      const other = column === 0 ? "descending" : "ascending";
      const order = head.getAttribute("aria-sort") === first ? other : first;
      heads.forEach((each) => each.setAttribute("aria-sort", each === head ? order : "none"));
      sortRows(table.tBodies[0], column, order === "ascending" ? 1 : -1);
    });
  });
}

function sortRows(body, column, sign) {
  const value = (row) => {
    const text = row.cells[column].textContent;
    return text === "inf" ? Infinity : text === "-" || text === "" ? NaN : Number(text);
  };
  const text = (row) => row.cells[column].textContent;
  const rows = [...body.rows];
  const numbers = column > 0 && rows.some((row) => !Number.isNaN(value(row)));
  rows.sort((a, b) => {
    if (!numbers) return sign * text(a).localeCompare(text(b), undefined, { numeric: true });
    // Images without a score come last in both orders.
    if (Number.isNaN(value(a)) || Number.isNaN(value(b))) return Number.isNaN(value(a)) - Number.isNaN(value(b));
    return value(a) === value(b) ? 0 : sign * (value(a) < value(b) ? -1 : 1);
  });
  body.append(...rows);
}

// Pixels. They lie behind this script as base64, and are decoded when an image is looked at.

const pageRead = new Promise((resolve) => {
  if (document.readyState !== "loading") resolve();
  else document.addEventListener("DOMContentLoaded", resolve);
});

async function decoded(block) {
  if (!document.getElementById(block)) await pageRead;
  const image = new Image();
  image.src = "data:image/webp;base64," + document.getElementById(block).textContent;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return { canvas, pixels: context.getImageData(0, 0, canvas.width, canvas.height) };
}

// PSNR of a crop, in the colour of the results' protocol, without a border.

function psnr(sr, gt, crop, protocol, grey) {
  const luma = protocol.luma && !grey;
  const { weights, offset } = protocol;
  const level = (data, at) => {
    const y = offset + (weights[0] * data[at] + weights[1] * data[at + 1] + weights[2] * data[at + 2]) / 255;
    return protocol.round ? Math.floor(y + 0.5) : y;
  };
  let sum = 0;
  for (let y = crop.top; y < crop.top + crop.height; y++) {
    for (let x = crop.left; x < crop.left + crop.width; x++) {
      const at = 4 * (y * gt.width + x);
      if (luma) sum += (level(sr.data, at) - level(gt.data, at)) ** 2;
      else for (let c = 0; c < 3; c++) sum += (sr.data[at + c] - gt.data[at + c]) ** 2;
    }
  }
  const mse = sum / (crop.width * crop.height * (luma ? 1 : 3));
  return mse === 0 ? Infinity : 10 * Math.log10(255 ** 2 / mse);
}

// Maps of differences: mean over colours of |sr - gt|, in colours from none to `full` levels.

function colour(scale, amount) {
  const at = Math.min(1, amount) * (scale.length - 1);
  const lower = Math.min(Math.floor(at), scale.length - 2);
  return scale[lower].map((value, c) => value + (at - lower) * (scale[lower + 1][c] - value));
}

function differenceMap(sr, gt, scale, full) {
  const map = new ImageData(gt.width, gt.height);
  for (let at = 0; at < map.data.length; at += 4) {
    const difference = [0, 1, 2].reduce((sum, c) => sum + Math.abs(sr.data[at + c] - gt.data[at + c]), 0) / 3;
    map.data.set([...colour(scale, difference / full), 255], at);
  }
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [gt.width, gt.height];
  canvas.getContext("2d").putImageData(map, 0, 0);
  return canvas;
}

const clamp = (value, low, high) => Math.max(low, Math.min(high, value));

// A viewer shows one image of a dataset: two sources under a divider, and one crop of all sources.

class Viewer {
  constructor(section) {
    this.section = section;
    this.data = JSON.parse(document.getElementById(`set-${section.dataset.number}`).textContent);
    this.gt = this.data.sources.length - 1;
    this.crop = null;
    this.buttons = [...section.querySelectorAll(".thumbs button")];
    this.buttons.forEach((button, number) => button.addEventListener("click", () => this.show(number)));
    // Left: the first source. Right: the last one before GT, if there are two.
    this.find(".left").value = 0;
    this.find(".right").value = Math.max(1, this.gt - 1);
    for (const name of [".left", ".right", ".differences", ".full"]) {
      this.find(name).addEventListener("change", () => this.draw());
    }
    this.listenToDivider();
    this.listenToCrop();
  }

  find(selector) {
    return this.section.querySelector(selector);
  }

  async show(number) {
    this.wanted = number;
    const image = this.data.images[number];
    this.buttons.forEach((button, place) => button.setAttribute("aria-pressed", String(place === number)));
    this.find(".viewer").hidden = false;
    this.find(".shown").textContent = `${image.key} ...`;
    const sources = await Promise.all(image.blocks.map(decoded));
    if (this.wanted !== number) return; // another image was chosen meanwhile
    [this.image, this.sources, this.maps] = [image, sources, new Map()];
    this.place({ left: image.start[1], top: image.start[0], side: Math.max(image.start[2], image.start[3]) });
    this.draw();
    const [top, left, tall, wide] = image.window;
    this.find(".shown").textContent = `${image.key}: ${wide}x${tall} pixels from (${left}, ${top})`;
    this.section.dataset.ready = number;
  }

  // The canvas of a source, or the map of its differences from GT.
  canvasOf(source) {
    // GT shows where the differences lie.
    if (!this.find(".differences").checked || source === this.gt) return this.sources[source].canvas;
    const full = Number(this.find(".full").value);
    const name = `${source}/${full}`;
    if (!this.maps.has(name)) {
      const gt = this.sources[this.gt].pixels;
      this.maps.set(name, differenceMap(this.sources[source].pixels, gt, this.data.scale, full));
    }
    return this.maps.get(name);
  }

  draw() {
    if (!this.image) return;
    const differences = this.find(".differences").checked;
    for (const [side, canvas, tag] of [
      ["left", ".over", ".tag-left"],
      ["right", ".under", ".tag-right"],
    ]) {
      const source = Number(this.find(`.${side}`).value);
      const name = this.data.sources[source];
      const words = [name, this.image.scores[source]].filter(Boolean).join(", ");
      const mapped = differences && source !== this.gt;
      this.copy(this.find(canvas), this.canvasOf(source), mapped ? `differences of ${words} from GT` : words);
      this.find(tag).textContent = words;
    }
    this.find(".key").hidden = !differences;
    this.find(".top").textContent = `${this.find(".full").value} levels`;
    this.drawRamp();
    this.moveDivider();
    this.drawCrops();
  }

  copy(canvas, from, words) {
    [canvas.width, canvas.height] = [from.width, from.height];
    canvas.getContext("2d").drawImage(from, 0, 0);
    // Small pictures are enlarged by whole factors.
    canvas.style.width = `${from.width * Math.max(1, Math.floor(512 / from.width))}px`;
    canvas.setAttribute("aria-label", `${this.image.key}: ${words}`);
  }

  drawRamp() {
    const canvas = this.find(".ramp");
    const context = canvas.getContext("2d");
    for (let x = 0; x < canvas.width; x++) {
      context.fillStyle = `rgb(${colour(this.data.scale, x / (canvas.width - 1)).map(Math.round).join(" ")})`;
      context.fillRect(x, 0, 1, canvas.height);
    }
  }

  listenToDivider() {
    const slider = this.find(".slider");
    const drag = (event) => {
      const box = slider.getBoundingClientRect();
      this.find(".divider").value = (1000 * (event.clientX - box.left)) / box.width;
      this.moveDivider();
    };
    slider.addEventListener("pointerdown", (event) => {
      slider.setPointerCapture(event.pointerId);
      drag(event);
    });
    slider.addEventListener("pointermove", (event) => {
      if (slider.hasPointerCapture(event.pointerId)) drag(event);
    });
    this.find(".divider").addEventListener("input", () => this.moveDivider());
  }

  moveDivider() {
    const share = Number(this.find(".divider").value) / 10;
    this.find(".over").style.clipPath = `inset(0 ${100 - share}% 0 0)`;
    this.find(".bar").style.left = `${share}%`;
    this.find(".divider").setAttribute("aria-valuetext", `${Math.round(share)} % of the left picture`);
  }

  listenToCrop() {
    const overview = this.find(".overview");
    overview.addEventListener("click", (event) => {
      const box = overview.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * overview.width;
      const y = ((event.clientY - box.top) / box.height) * overview.height;
      this.move({ left: x - this.crop.width / 2, top: y - this.crop.height / 2 });
    });
    overview.addEventListener("keydown", (event) => {
      const { left, top, side } = this.crop;
      const step = event.shiftKey ? 1 : Math.max(1, side >> 2);
      const moves = {
        ArrowLeft: { left: left - step },
        ArrowRight: { left: left + step },
        ArrowUp: { top: top - step },
        ArrowDown: { top: top + step },
        "+": { side: Math.round(side / 1.25) },
        "-": { side: Math.round(side * 1.25) },
      };
      if (!(event.key in moves)) return;
      event.preventDefault();
      this.move(moves[event.key]);
    });
    for (const name of ["left", "top", "side"]) {
      const field = this.find(`.crop-${name}`);
      field.addEventListener("change", () => this.move({ [name]: Number(field.value) }));
    }
    this.find(".whole").addEventListener("click", () => this.move({ left: 0, top: 0, side: Infinity }));
  }

  move(change) {
    if (!this.image) return;
    this.place({ ...this.crop, ...change });
    this.drawCrops();
  }

  // Keep the crop inside the picture; a side longer than the picture's becomes that one.
  place({ left, top, side }) {
    const { width, height } = this.sources[this.gt].pixels;
    const length = clamp(Math.round(side) || 1, 8, Math.max(width, height));
    const [wide, tall] = [Math.min(length, width), Math.min(length, height)];
    this.crop = {
      left: clamp(Math.round(left) || 0, 0, width - wide),
      top: clamp(Math.round(top) || 0, 0, height - tall),
      side: length,
      width: wide,
      height: tall,
    };
    for (const name of ["left", "top", "side"]) this.find(`.crop-${name}`).value = this.crop[name];
  }

  drawCrops() {
    this.drawOverview();
    const { crop, data, image } = this;
    const crops = this.find(".crops");
    crops.replaceChildren(
      ...data.sources.map((name, source) => {
        const figure = document.createElement("figure");
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [crop.width, crop.height];
        const from = this.canvasOf(source);
        const box = [crop.left, crop.top, crop.width, crop.height];
        canvas.getContext("2d").drawImage(from, ...box, 0, 0, crop.width, crop.height);
        const { pixels } = this.sources[source];
        const score = psnr(pixels, this.sources[this.gt].pixels, crop, data.protocol, image.grey);
        const words = source === this.gt ? "" : ` ${score === Infinity ? "inf" : score.toFixed(2)} dB`;
        canvas.setAttribute("role", "img");
        canvas.setAttribute("aria-label", `${name}, crop from (${crop.left}, ${crop.top})${words && `:${words}`}`);
        const caption = document.createElement("figcaption");
        const strong = document.createElement("strong");
        strong.textContent = name;
        caption.append(strong, words);
        figure.append(canvas, caption);
        return figure;
      }),
    );
    const space = data.protocol.luma && !image.grey ? "luma" : "all channels";
    this.find(".psnr-note").textContent =
      `PSNR of the crop: ${space} as in ${data.protocol.name}, without its border; ` +
      `crop ${crop.width}x${crop.height} from (${crop.left}, ${crop.top}) of the picture.`;
  }

  drawOverview() {
    const canvas = this.find(".overview");
    const { canvas: gt } = this.sources[this.gt];
    [canvas.width, canvas.height] = [gt.width, gt.height];
    const context = canvas.getContext("2d");
    context.drawImage(gt, 0, 0);
    // Black and white lines are seen on any picture; as wide as on the screen.
    const unit = Math.max(1, gt.width / 200);
    const { left, top, width, height } = this.crop;
    for (const [style, line] of [["#000", 3 * unit], ["#fff", unit]]) {
      context.strokeStyle = style;
      context.lineWidth = line;
      context.strokeRect(left, top, width, height);
    }
  }
}

document.querySelectorAll("table.sortable").forEach(sortable);

// The first image of a dataset opens when its pictures come into view.
const opened = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    opened.unobserve(target);
    if (viewers.get(target).wanted === undefined) viewers.get(target).show(0);
  }
});
const viewers = new Map();
for (const section of document.querySelectorAll("section.set")) {
  viewers.set(section, new Viewer(section));
  opened.observe(section);
}

for (const control of document.querySelectorAll(".scripted")) {
  control.hidden = false;
  const heat = control.closest("figure").querySelector(".heat");
  const range = control.querySelector("input");
  const apply = () => heat.setAttribute("opacity", range.value / 100);
  range.addEventListener("input", apply);
  apply();
}
