"use strict";
// The page says everything without this script. It adds: a theme switch, the place in the contents,
// tables sorted by a click on a heading, hover texts that appear at once, and of several charts of
// one thing a choice.
(() => {
  const root = document.documentElement;
  const remember = (theme) => {
    try { localStorage.setItem("netwright-theme", theme); } catch { /* file:// may forbid storage */ }
  };
  try {
    const theme = localStorage.getItem("netwright-theme");
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  } catch { /* as above */ }

  const isDark = () => root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;

  function addThemeSwitch() {
    const button = document.createElement("button");
    const label = () => { button.textContent = isDark() ? "Light theme" : "Dark theme"; };
    button.type = "button";
    button.className = "theme";
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      remember(root.dataset.theme);
      label();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", label);
    label();
    document.querySelector("nav").append(button);
  }

  function followContents() {
    const links = new Map();
    for (const link of document.querySelectorAll("nav a")) links.set(link.hash.slice(1), link);
    const targets = [...links.keys()].map((id) => document.getElementById(id)).filter(Boolean);
    const mark = () => {
      let current = targets[0];
      for (const target of targets) {
        if (target.getBoundingClientRect().top <= innerHeight * 0.3) current = target;
      }
      for (const [id, link] of links) {
        if (current && id === current.id) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      }
    };
    let waiting = false;
    addEventListener("scroll", () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => { waiting = false; mark(); });
    }, { passive: true });
    mark();
  }

  function makeSortable(table) {
    const body = table.tBodies[0];
    [...table.tHead.rows[0].cells].forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const down = heading.getAttribute("aria-sort") === "ascending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        heading.setAttribute("aria-sort", down ? "descending" : "ascending");
        const key = (row) => {
          const cell = row.cells[column];
          return cell.dataset.key === undefined ? cell.textContent : Number(cell.dataset.key);
        };
        const compare = (a, b) => {
          const [left, right] = [key(a), key(b)];
          if (typeof left !== typeof right) return typeof left === "number" ? -1 : 1;
          const order = typeof left === "number" ? left - right : left.localeCompare(right);
          return down ? -order : order;
        };
        body.append(...[...body.rows].sort(compare));
      });
    });
  }

  function addTips() {
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.hidden = true;
    tip.setAttribute("aria-hidden", "true");
    document.body.append(tip);
    let owner = null;
    const restore = () => {
      if (owner) owner.mark.prepend(owner.title);
      owner = null;
      tip.hidden = true;
    };
    const show = (mark, x, y) => {
      const title = [...mark.children].find((child) => child.localName === "title");
      if (!title) return;
      title.remove(); // else the browser shows its own text as well, later
      owner = { mark, title };
      tip.textContent = title.textContent;
      tip.hidden = false;
      move(x, y);
    };
    const move = (x, y) => {
      const box = tip.getBoundingClientRect();
      tip.style.left = Math.max(4, Math.min(x + 14, innerWidth - box.width - 8)) + "px";
      tip.style.top = (y - box.height - 12 < 4 ? y + 18 : y - box.height - 12) + "px";
    };
    for (const chart of document.querySelectorAll("svg.chart")) {
      const name = chart.querySelector(":scope > title"); // as a title it would pop up everywhere
      chart.setAttribute("aria-label", name.textContent);
      chart.removeAttribute("aria-labelledby");
      name.remove();
      chart.addEventListener("pointermove", (event) => {
        const mark = event.target;
        if (owner && owner.mark === mark) { move(event.clientX, event.clientY); return; }
        restore();
        if (mark !== chart) show(mark, event.clientX, event.clientY);
      });
      chart.addEventListener("pointerleave", restore);
    }
    addEventListener("scroll", restore, { passive: true });
  }

  function addChoices(group) {
    const parts = [...group.children];
    if (parts.length < 2) return;
    const bar = document.createElement("div");
    bar.className = "choices";
    bar.setAttribute("role", "group");
    bar.setAttribute("aria-label", "Drawn against");
    const words = document.createElement("span");
    words.textContent = "Drawn against";
    bar.append(words);
    const buttons = parts.map((part) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = part.dataset.choice;
      button.addEventListener("click", () => choose(part));
      bar.append(button);
      return button;
    });
    const choose = (chosen) => parts.forEach((part, k) => {
      part.hidden = part !== chosen;
      buttons[k].setAttribute("aria-pressed", String(part === chosen));
    });
    choose(parts[0]);
    group.prepend(bar);
  }

  document.addEventListener("DOMContentLoaded", () => {
    addThemeSwitch();
    followContents();
    document.querySelectorAll("table.sortable").forEach(makeSortable);
    document.querySelectorAll(".switched").forEach(addChoices);
    addTips();
  });
})();
