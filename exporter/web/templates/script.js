"use strict";
// Keeps the page up to date, and searches while the reader types. Without it the page still works:
// its links and its form lead to the same places.
(() => {
  const USUAL = 5000;
  const SLOWEST = 60000;
  const PATIENCE = 30000;
  const TYPING = 250;

  const form = document.querySelector("form[role=search]"); // only on the page of all targets
  const pause = document.getElementById("pause");
  const connection = document.getElementById("connection");
  let paused = false;
  let pace = USUAL;
  let timer = 0;
  let request = null;

  function wait() {
    clearTimeout(timer);
    if (!paused && !document.hidden) timer = setTimeout(refresh, pace);
  }

  function refresh() {
    clearTimeout(timer);
    request?.abort();
    // Not fetch() and DOMParser: a request for a document needs no exception from Trusted Types,
    // and nothing in its document runs.
    const current = new XMLHttpRequest();
    request = current;
    current.open("GET", location.href);
    current.responseType = "document";
    current.timeout = PATIENCE;
    current.onload = () => {
      const fresh = current.status === 200 ? current.response : null;
      if (fresh?.getElementById("results")) succeeded(fresh);
      else failed();
    };
    current.onerror = failed;
    current.ontimeout = failed;
    current.send();
  }

  function succeeded(fresh) {
    pace = USUAL;
    say("");
    show(fresh);
    wait();
  }

  function failed() {
    pace = Math.min(2 * pace, SLOWEST);
    say("The exporter is not responding: this page shows its last reply. Retrying.");
    wait();
  }

  // Screen readers read a live region when its text changes, so it changes only when there is news.
  function say(text) {
    if (connection.textContent !== text) connection.textContent = text;
  }

  function show(fresh) {
    const focused = document.activeElement;
    document.title = fresh.title;
    for (const part of fresh.querySelectorAll("[data-live]")) {
      const old = document.getElementById(part.id);
      if (old) become(old, part);
    }
    // an element that moves loses the focus
    if (focused !== document.activeElement && focused?.isConnected) {
      focused.focus({ preventScroll: true });
    }
  }

  // Makes one node equal to another, and keeps every part that is the same: with it stay the focus,
  // the selection and the scroll position.
  function become(old, fresh) {
    if (old.isEqualNode(fresh)) return;
    if (old.nodeType !== Node.ELEMENT_NODE) {
      old.data = fresh.data;
      return;
    }
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name)) old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    const keyed = new Map();
    for (const child of old.children) {
      if (child.dataset.key) keyed.set(child.dataset.key, child);
    }
    let at = old.firstChild;
    for (const next of [...fresh.childNodes]) {
      const same = counterpart(next, keyed, at);
      if (!same) {
        old.insertBefore(document.importNode(next, true), at);
        continue;
      }
      if (same === at) at = at.nextSibling;
      else old.insertBefore(same, at);
      become(same, next);
    }
    while (at) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
  }

  // The node that `next` updates: the child with its key, else the one in its place.
  function counterpart(next, keyed, at) {
    const key = next.dataset?.key;
    const old = key ? keyed.get(key) : at;
    const alike = old && old.nodeName === next.nodeName && old.dataset?.key === key;
    return alike ? old : null;
  }

  function ask() {
    const chosen = new URLSearchParams();
    for (const [name, value] of new FormData(form)) {
      if (value.trim() && !(name === "sort" && value === "trouble")) chosen.append(name, value);
    }
    history.replaceState(null, "", `?${chosen}`);
    refresh();
  }

  let typing = 0;
  form?.addEventListener("input", (event) => {
    clearTimeout(typing);
    typing = setTimeout(ask, event.target.type === "search" ? TYPING : 0);
  });
  form?.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(typing);
    ask();
  });

  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = paused ? "Resume refreshing" : "Pause refreshing";
    if (paused) clearTimeout(timer);
    else refresh();
  });

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) clearTimeout(timer);
    else if (!paused) refresh();
  });

  wait();
})();
