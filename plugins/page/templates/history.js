"use strict";
// The filter of the runs; without this script every run can still be read.
const form = document.querySelector(".filter");
const rows = [...document.querySelectorAll("#runs tbody tr")].map((row) => ({ row, text: row.textContent.toLowerCase() }));
form.hidden = false;
const apply = () => {
  const { text, verdict, environment, kind } = form.elements;
  let shown = 0;
  for (const { row, text: content } of rows) {
    const fits =
      content.includes(text.value.toLowerCase()) &&
      [[verdict, "verdict"], [environment, "environment"], [kind, "kind"]].every(
        ([field, name]) => !field.value || row.dataset[name] === field.value,
      );
    row.hidden = !fits;
    shown += fits;
  }
  form.querySelector("output").textContent = `${shown} of ${rows.length} runs`;
};
form.addEventListener("input", apply);
form.addEventListener("submit", (event) => event.preventDefault());
apply();
