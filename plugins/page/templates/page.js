
"use strict";
// Search and filter of the checks; without this script every check can still be read.
const form = document.querySelector(".filter");
if (form) {
  form.hidden = false;
  const gates = [...document.querySelectorAll("details.gate")].map((gate) => ({
    gate,
    rows: [...gate.querySelectorAll("li")].map((row) => ({ row, text: row.textContent.toLowerCase() })),
  }));
  const apply = () => {
    const text = form.elements.text.value.toLowerCase();
    const outcome = form.elements.outcome.value;
    let shown = 0;
    for (const { gate, rows } of gates) {
      let here = 0;
      for (const { row, text: content } of rows) {
        const passed = row.className === "passed";
        const fits = content.includes(text) && (!outcome || (outcome === "passed") === passed);
        row.hidden = !fits;
        here += fits;
      }
      gate.hidden = Boolean(text || outcome) && here === 0;
      gate.open = Boolean(text || outcome) && here > 0;
      shown += here;
    }
    form.querySelector("output").textContent = text || outcome ? `${shown.toLocaleString("en")} check${shown === 1 ? "" : "s"}` : "";
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
}
const openTarget = () => {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target && target.tagName === "DETAILS") target.open = true;
};
addEventListener("hashchange", openTarget);
openTarget();
