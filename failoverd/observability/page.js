"use strict";
// The page is whole without this: here it only stays up to date.
const link = document.getElementById("link");
let due = false, busy = false;

async function refresh() {
  if (busy) { due = true; return; }
  busy = true;
  try {
    const answer = await fetch(location.href, {headers: {Accept: "text/html"}});
    if (!answer.ok) throw new Error(answer.status);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of fresh.querySelectorAll("[data-live]")) take(part);
    document.title = fresh.title;
    link.textContent = "live";
  } catch {
    link.textContent = "no answer from failoverd; trying again";
  }
  busy = false;
  if (due) { due = false; setTimeout(refresh, 250); }
}

// What has not changed is left alone, so that neither focus nor reading place is lost.
function take(part) {
  const here = document.getElementById(part.id);
  if (!here || here.outerHTML === part.outerHTML) return;
  const open = new Set([...here.querySelectorAll("details[open]")].map(one => one.id));
  const focused = here.contains(document.activeElement) ? document.activeElement.id : "";
  for (const one of part.querySelectorAll("details")) if (open.has(one.id)) one.open = true;
  here.replaceWith(part);
  if (focused) document.getElementById(focused)?.focus();
}

const source = new EventSource("/api/v1/events");
source.addEventListener("step", refresh);
source.addEventListener("open", refresh);
source.addEventListener("error", () => { link.textContent = "connection lost; trying again"; });
setInterval(refresh, 2000);
