// The pages of experiments, kept up to date in place.
//
// * What is marked data-live is fetched again with the page every few seconds, and replaced where it
//   has changed. A section in which text is selected stays as it is; the focus stays where it was.
// * Figures are fetched while they can be seen, and drawn again when they have changed; the more
//   seldom the longer that takes, so that the page never stutters.
// * Links and forms of a data-follow section change what is shown without leaving the page.
// * Without this script the pages say the same, as of when they were loaded, and of the figures show
//   one.
(function () {
  "use strict";

  const page = document.getElementById("asha-page");
  const EVERY = 2000;  // milliseconds between two looks, at least
  const RATHER = 4;    // times as long as a look took
  const SELDOM = 20;   // times as long as a figure took to be drawn, it then stays as it is

  // -- what is said ------------------------------------------------------------------------------

  function say(dot, text) {
    const said = document.getElementById("asha-said");
    if (said && said.textContent !== text) {
      said.textContent = text;
      said.previousElementSibling.className = "status-dot status-dot-" + dot;
    }
  }

  function toast(text, kind) {
    const place = document.getElementById("toast-container");
    const box = document.createElement("div");
    box.className = "toast text-bg-" + kind + " border-0";
    box.setAttribute("role", kind === "danger" ? "alert" : "status");
    const body = document.createElement("div");
    body.className = "toast-body";
    body.textContent = text;
    box.append(body);
    place.append(box);
    box.addEventListener("hidden.bs.toast", () => box.remove());
    bootstrap.Toast.getOrCreateInstance(box, {delay: kind === "danger" ? 10000 : 5000}).show();
  }

  // -- sections that live ------------------------------------------------------------------------

  const shown = new Map();  // id of a section → what was put there last
  let looked = 0;           // counts looks: an answer that was overtaken is dropped

  function sections(root) {
    return Array.from(root.querySelectorAll("[data-live]"));
  }

  function mark(element) {
    return element.id ? "#" + CSS.escape(element.id)
      : element.dataset.key ? '[data-key="' + CSS.escape(element.dataset.key) + '"]'
      : element.getAttribute("href") ? 'a[href="' + CSS.escape(element.getAttribute("href")) + '"]'
      : null;
  }

  function selected(section) {
    const selection = getSelection();
    return !selection.isCollapsed && selection.containsNode(section, true);
  }

  function replace(section, html) {
    const focus = section.contains(document.activeElement) ? mark(document.activeElement) : null;
    const wide = ".table-responsive, .task-state-filters";
    const scrolled = Array.from(section.querySelectorAll(wide), (place) => place.scrollLeft);
    section.innerHTML = html;
    section.querySelectorAll(wide).forEach((place, i) => { place.scrollLeft = scrolled[i] || 0; });
    times(section);
    const again = focus && section.querySelector(focus);
    if (again) {
      again.focus({preventScroll: true});
    }
  }

  async function refresh() {
    const look = ++looked;
    try {
      const answer = await fetch(location.href, {cache: "no-cache", headers: {"X-Live": "1"}});
      const text = await answer.text();
      if (look !== looked) {
        return;
      }
      const fresh = new DOMParser().parseFromString(text, "text/html").getElementById("asha-page");
      if (!fresh) {
        throw new Error("not this page");
      }
      if (answer.status === 503) {  // what is shown stays while the store is away
        say("error", "The store does not answer");
        return;
      }
      if (!answer.ok) {
        page.innerHTML = fresh.innerHTML;
        return;
      }
      for (const news of sections(fresh)) {
        const section = document.getElementById(news.id);
        if (section && shown.get(news.id) !== news.innerHTML && !selected(section)) {
          shown.set(news.id, news.innerHTML);
          replace(section, news.innerHTML);
        }
      }
      say("live", "Live");
    } catch (error) {
      say("error", "Flower does not answer");
    }
  }

  // -- figures -----------------------------------------------------------------------------------

  const figures = Array.from(page.querySelectorAll("[data-figure]"));
  const seen = new Set();    // figures that can be seen
  const drawn = new Map();   // figure → {address, etag, figure} of what is drawn
  const rest = new Map();    // figure → when it may be drawn again by itself
  // plotly.js is deferred: it is parsed while the first figures are fetched
  const ready = new Promise((resolve) => addEventListener("DOMContentLoaded", resolve));

  function dark() {
    return document.documentElement.getAttribute("data-bs-theme") === "dark";
  }

  function caption(figure, text) {
    figure.classList.toggle("asha-bare", text !== "");
    figure.querySelector("figcaption").textContent = text;
  }

  async function draw(figure) {
    const address = figure.dataset.figure;
    const before = drawn.get(figure);
    let answer, found;
    try {
      answer = await fetch(address, {cache: "no-cache"});
      const etag = answer.headers.get("Etag");
      if (before && before.address === address && before.etag === etag) {
        return;
      }
      found = await answer.json();
      if (figure.dataset.figure !== address) {
        return;  // another one was chosen meanwhile
      }
      if (!answer.ok || found.error) {
        caption(figure, found.error);
        return;
      }
      drawn.set(figure, {address: address, etag: etag, figure: found});
    } catch (error) {
      if (!before) {
        caption(figure, "Flower does not answer");
      }
      return;
    }
    await ready;
    show(figure);
  }

  function show(figure) {
    const last = drawn.get(figure);
    if (last) {
      caption(figure, "");
      const began = performance.now();
      const plot = figure.querySelector(".asha-plot");
      plot.querySelector(":scope > .asha-preview")?.remove();
      ashaDraw(plot, last.figure, dark());
      const now = performance.now();
      rest.set(figure, now + SELDOM * (now - began));
    }
  }

  function drawSeen() {
    const now = performance.now();
    return Promise.all(Array.from(seen).filter((one) => now >= (rest.get(one) || 0)).map(draw));
  }

  if (figures.length) {
    const watch = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (entry.isIntersecting) {
          seen.add(entry.target);
          draw(entry.target);
        } else {
          seen.delete(entry.target);
        }
      }
    }, {rootMargin: "200px"});
    figures.forEach((figure) => watch.observe(figure));
    new MutationObserver(() => drawn.forEach((_, figure) => show(figure)))
      .observe(document.documentElement, {attributeFilter: ["data-bs-theme"]});
  }

  page.addEventListener("change", (event) => {
    const choice = event.target.closest("[data-figures]");
    if (choice) {
      const figure = document.getElementById(choice.dataset.figures);
      figure.dataset.figure = choice.value;
      draw(figure);
    }
  });

  // -- what is shown of trials -------------------------------------------------------------------

  function go(address) {
    history.replaceState(null, "", address);
    return refresh();
  }

  page.addEventListener("click", (event) => {
    const link = event.target.closest("[data-follow] a[href]");
    const plain = !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
    if (link && plain && link.pathname === location.pathname) {
      event.preventDefault();
      const form = document.querySelector(".asha-search");
      go(link.href).then(() => rewrite(form));
    }
  });

  function rewrite(form) {  // the hidden fields of the form, to what the address says
    const asked = new URLSearchParams(location.search);
    form.querySelectorAll("input[type=hidden]").forEach((field) => field.remove());
    for (const name of ["state", "sort", "order"]) {
      if (asked.get(name)) {
        const field = document.createElement("input");
        Object.assign(field, {type: "hidden", name: name, value: asked.get(name)});
        form.append(field);
      }
    }
  }

  let typed = 0;
  page.addEventListener("input", (event) => {
    const form = event.target.closest(".asha-search");
    if (form) {
      clearTimeout(typed);
      typed = setTimeout(() => go("?" + new URLSearchParams(new FormData(form))), 300);
    }
  });
  page.addEventListener("submit", (event) => {
    if (event.target.closest(".asha-search")) {
      event.preventDefault();
      go("?" + new URLSearchParams(new FormData(event.target)));
    }
  });

  // -- orders ------------------------------------------------------------------------------------

  async function order(address, body, done) {
    const token = document.cookie.match(/(?:^|; )_xsrf=([^;]*)/);
    const headers = {"Content-Type": "application/json"};
    if (token) {
      headers["X-Xsrftoken"] = decodeURIComponent(token[1]);
    }
    try {
      const answer = await fetch(address, {method: "POST", headers, body: JSON.stringify(body)});
      const found = await answer.json().catch(() => ({}));
      toast(answer.ok ? done : found.error || "refused: " + answer.status, answer.ok ? "success" : "danger");
    } catch (error) {
      toast("Flower does not answer: nothing was changed", "danger");
    }
    await refresh();
  }

  function open(id) {
    const dialog = document.getElementById(id);
    dialog.returnValue = "";  // Escape leaves what the last button gave it
    dialog.showModal();
    return dialog;
  }

  function ask(text) {
    document.getElementById("asha-confirm-text").textContent = text;
    const dialog = open("asha-confirm");
    return new Promise((resolve) => {
      dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), {once: true});
    });
  }

  const DONE = {pause: "Paused", resume: "Resumed", cancel: "Cancelled", extend: "Extended"};

  function api() {
    return document.getElementById("asha-orders").dataset.api;
  }

  page.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-order], button[data-drain], button[data-dialog]");
    if (!button) {
      return;
    }
    const {order: verb, drain, dialog, ask: question} = button.dataset;
    if (dialog) {
      open(dialog);
    } else if (drain) {
      if (await ask("Drain " + drain + "? It saves, hands its segment back and ends.")) {
        await order(page.dataset.drain, {workers: [drain]}, "Told to drain: " + drain);
      }
    } else if (!question || await ask(question)) {
      await order(api() + "/" + verb, {}, DONE[verb]);
    }
  });

  page.addEventListener("close", (event) => {
    const form = event.target.querySelector("form[data-form]");
    if (form && event.target.returnValue === "yes") {
      const body = {};
      for (const field of form.querySelectorAll("input")) {
        if (field.value !== field.defaultValue) {
          body[field.name] = Number(field.value);
        }
      }
      order(api() + "/" + form.dataset.form, body, DONE[form.dataset.form]);
    }
  }, true);

  // -- output of attempts ------------------------------------------------------------------------

  let log = null;  // the address of the output that is shown

  async function output() {
    if (!log) {
      return;
    }
    const place = document.getElementById("asha-output-text");
    let found;
    try {
      found = await (await fetch(log, {cache: "no-cache"})).json();
    } catch (error) {
      return;  // what is shown stays
    }
    const text = found.error || (found.why ? "[" + found.why + "]\n" : "") + (found.text || "");
    if (place.textContent !== text && !selected(place)) {
      const low = place.scrollHeight - place.scrollTop - place.clientHeight < 40;
      place.textContent = text;
      if (low) {
        place.scrollTop = place.scrollHeight;
      }
    }
  }

  page.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-log]");
    if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      log = link.href;
      document.getElementById("asha-output-of").textContent = link.dataset.log;
      const card = document.getElementById("asha-output");
      card.hidden = false;
      document.getElementById("asha-output-text").textContent = "";
      output().then(() => card.scrollIntoView({block: "nearest"}));
    }
  });

  // -- times, in the reader's own zone -----------------------------------------------------------

  function times(root) {
    for (const one of root.querySelectorAll("time")) {
      const at = new Date(one.dateTime);
      one.title = at.toString();
      one.textContent = at.toLocaleString([], {dateStyle: "short", timeStyle: "medium"});
    }
  }

  // -- again and again ---------------------------------------------------------------------------

  async function turn() {
    const began = performance.now();
    if (!document.hidden) {
      await Promise.all([refresh(), drawSeen(), output()]);
    }
    setTimeout(turn, Math.max(EVERY, RATHER * (performance.now() - began)));
  }

  document.addEventListener("visibilitychange", () => { if (!document.hidden) { refresh(); } });
  for (const section of sections(page)) {
    shown.set(section.id, section.innerHTML);
  }
  times(page);
  setTimeout(turn, EVERY);
})();
