// Keeps pages fresh. Everything works without it: it only swaps parts marked `data-live` for newer ones.

const main = document.querySelector("main[data-follow]");
const overview = document.getElementById("part-attention");

/** Puts newer content into a part, unless somebody is busy in it. */
function put(part, html) {
  if (!part || part.innerHTML === html) return;
  const busy = part.contains(document.activeElement) || part.querySelector("details[open], input:checked");
  if (!busy) part.innerHTML = html;
}

/** Reads this page again and takes its live parts. */
let reading = false;
async function refresh() {
  if (reading || document.hidden) return;
  reading = true;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" }, redirect: "error" });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-live][id]")) {
      const newer = page.getElementById(part.id);
      if (newer) put(part, newer.innerHTML);
    }
    for (const link of document.querySelectorAll(".side nav a")) {
      const newer = page.querySelector(`.side nav a[href="${CSS.escape(link.getAttribute("href"))}"]`);
      if (newer && newer.innerHTML !== link.innerHTML) link.innerHTML = newer.innerHTML;
    }
  } catch {
    // The server is away: the next hint tries again.
  } finally {
    reading = false;
  }
}

if (main && window.EventSource) {
  const source = new EventSource("/live");
  let last = 0;
  source.addEventListener("look", (event) => {
    document.documentElement.dataset.looked = String(Number(document.documentElement.dataset.looked ?? 0) + 1);
    if (overview) {
      for (const [id, html] of Object.entries(JSON.parse(event.data))) put(document.getElementById(id), html);
      return;
    }
    if (Date.now() - last > 3000) {
      last = Date.now();
      refresh();
    }
  });
  window.addEventListener("pagehide", () => source.close());
}

// Escape closes the form that was opened last; a click elsewhere does too.
addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const open = event.target.closest?.("details.pop[open]") ?? document.querySelector("details.pop[open]");
  if (open) {
    open.open = false;
    open.querySelector("summary").focus();
  }
});
addEventListener("click", (event) => {
  for (const open of document.querySelectorAll("details.pop[open]")) {
    if (!open.contains(event.target)) open.open = false;
  }
});
