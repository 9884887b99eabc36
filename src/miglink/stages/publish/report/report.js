"use strict";
(() => {
  const said = document.getElementById("said");
  const order = new Intl.Collator("en", {numeric: true});
  const number = (text) => {
    const plain = text.replace(/[\u202f\u00a0%]/g, "").replace("\u2212", "-");
    return plain === "" || isNaN(plain) ? null : Number(plain);
  };
  const sort = (table, column, head) => {
    const down = head.getAttribute("aria-sort") === "ascending";
    const isNumber = head.classList.contains("n");
    const rows = Array.from(table.tBodies[0].rows, (row) => {
      const text = row.cells[column].textContent;
      return {row, value: isNumber ? number(text) : text};
    });
    rows.sort((a, b) => {
      if (a.value === null || b.value === null) return (a.value === null) - (b.value === null);
      const step = isNumber ? a.value - b.value : order.compare(a.value, b.value);
      return down ? -step : step;
    });
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    table.tBodies[0].append(...rows.map((one) => one.row));
    said.textContent = `Sorted by ${head.textContent.replace(/\u00ad/g, "")}, ${down ? "descending" : "ascending"}`;
  };
  for (const table of document.querySelectorAll("table")) {
    if (table.tBodies[0].rows.length < 2) continue;
    Array.from(table.tHead.rows[0].cells).forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => sort(table, column, head));
    });
  }
  // On paper nothing can be opened.
  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = Array.from(document.querySelectorAll("details:not([open]):not(.long)"));
    opened.forEach((one) => { one.open = true; });
  });
  window.addEventListener("afterprint", () => opened.forEach((one) => { one.open = false; }));
})();
