"use strict";

// Tables: rows without a number stay last in both directions.
function compareCells(one, other, descending) {
  if (one === "" || other === "") return (one === "") - (other === "");
  const numbers = [Number(one), Number(other)];
  const order = numbers.some(Number.isNaN) ? one.localeCompare(other) : numbers[0] - numbers[1];
  return descending ? -order : order;
}

function valueOf(row, place) {
  return row.cells[place].dataset.value ?? "";
}

function sortTable(table, headers, place) {
  const header = headers[place];
  const first = header.dataset.best === "high" ? "descending" : "ascending";
  const second = first === "descending" ? "ascending" : "descending";
  const direction = header.getAttribute("aria-sort") === first ? second : first;
  headers.forEach((cell) => cell.setAttribute("aria-sort", cell === header ? direction : "none"));
  const body = table.tBodies[0];
  const rows = [...body.rows];
  rows.sort((one, other) => compareCells(valueOf(one, place), valueOf(other, place), direction === "descending"));
  body.append(...rows);
}

document.querySelectorAll("[data-sortable]").forEach((table) => {
  const headers = [...table.tHead.querySelectorAll("[aria-sort]")];
  headers.forEach((header, place) => {
    header.querySelector("button").addEventListener("click", () => sortTable(table, headers, place));
  });
});

// Plotly lies in the page compressed, which takes less than half the room; every browser since 2023 unpacks it.
async function loadPlotly() {
  const packed = atob(document.getElementById("plotly").textContent);
  const bytes = Uint8Array.from(packed, (letter) => letter.charCodeAt(0));
  const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const script = document.createElement("script");
  script.textContent = await new Response(unpacked).text();
  document.head.append(script);
}

// Charts: one figure for each combination of choices.
function showChart(chart) {
  const content = JSON.parse(document.getElementById(`${chart.dataset.chart}-data`).textContent);
  const selects = [...chart.querySelectorAll("select")];
  const plot = chart.querySelector(".plot");
  function draw() {
    const { figure, note } = content[selects.map((select) => select.value).join("|")];
    chart.querySelector("figcaption").textContent = note;
    plot.classList.toggle("empty", figure.data.length === 0);
    if (figure.data.length === 0) return;
    const narrow = plot.clientWidth < 700;
    const legend = narrow ? { orientation: "h", y: -0.25 } : figure.layout.legend;
    const options = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["lasso2d", "select2d"] };
    Plotly.react(plot, figure.data, { ...figure.layout, legend, autosize: true }, options);
  }
  selects.forEach((select) => select.addEventListener("change", draw));
  draw();
}

loadPlotly().then(() => document.querySelectorAll("[data-chart]").forEach(showChart));

// Images: filters, order and pages.
const PAGE_SIZE = 4;
const cards = [...document.querySelectorAll(".card")];
let start = 0;

function fits(card) {
  const split = document.getElementById("split").value;
  const label = document.getElementById("class").value;
  const least = Number(document.getElementById("disagreement").value);
  const share = card.dataset.disagreement;
  return (
    (split === "" || card.dataset.split === split) &&
    (label === "" || card.dataset.classes.split(" ").includes(label)) &&
    (least === 0 || (share !== "" && Number(share) >= least))
  );
}

function ordered(chosen) {
  const order = document.getElementById("order").value;
  if (order === "") return chosen;
  return [...chosen].sort((one, other) =>
    compareCells(one.dataset.disagreement, other.dataset.disagreement, order === "most"),
  );
}

function showCards() {
  const chosen = ordered(cards.filter(fits));
  start = Math.max(0, Math.min(start, PAGE_SIZE * Math.floor((chosen.length - 1) / PAGE_SIZE)));
  const shown = chosen.slice(start, start + PAGE_SIZE);
  cards.forEach((card) => (card.hidden = !shown.includes(card)));
  document.getElementById("cards").append(...chosen);
  document.getElementById("nothing").hidden = chosen.length > 0;
  document.querySelector("#filters output").textContent = `${document.getElementById("disagreement").value} %`;
  document.querySelectorAll(".place").forEach((place) => {
    place.textContent = shown.length ? `${start + 1} to ${start + shown.length} of ${chosen.length} images` : "0 images";
  });
  document.querySelectorAll("[data-step]").forEach((button) => {
    const next = start + PAGE_SIZE * Number(button.dataset.step);
    button.disabled = next < 0 || next >= chosen.length;
  });
}

if (cards.length) {
  document.getElementById("filters").addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("filters").addEventListener("input", (event) => {
    if (event.target.id === "opacity") {
      document.documentElement.style.setProperty("--strength", event.target.value / 100);
      return;
    }
    start = 0;
    showCards();
  });
  document.querySelectorAll("[data-step]").forEach((button) => {
    button.addEventListener("click", () => {
      start += PAGE_SIZE * Number(button.dataset.step);
      showCards();
    });
  });
  document.getElementById("systems").addEventListener("change", (event) => {
    const tiles = document.querySelectorAll(`[data-system="${CSS.escape(event.target.value)}"]`);
    tiles.forEach((tile) => (tile.hidden = !event.target.checked));
  });
  showCards();
}
