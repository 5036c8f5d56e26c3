"""The page's own script and style: tips on pointing and focus, series shown and hidden. Nothing comes from outside."""

from __future__ import annotations

SCRIPT = """
(() => {
  "use strict";
  const REACH = 16; // px around a marker that count as pointing at it
  const tip = document.getElementById("tip");
  let current = null;

  function hide() {
    if (current) current.classList.remove("pointed");
    current = null;
    tip.hidden = true;
  }

  function show(mark) {
    if (mark !== current) {
      hide();
      current = mark;
      mark.classList.add("pointed");
      tip.replaceChildren(...mark.dataset.tip.split("\\n").map((line, index) => {
        const row = document.createElement(index ? "span" : "strong");
        row.textContent = line;
        return row;
      }));
      tip.hidden = false;
    }
    const at = mark.getBoundingClientRect(), own = tip.getBoundingClientRect();
    const left = Math.min(Math.max(8, at.left + at.width / 2 - own.width / 2), innerWidth - own.width - 8);
    const above = at.top - own.height - 10;
    tip.style.left = left + "px";
    tip.style.top = (above > 4 ? above : at.bottom + 10) + "px";
  }

  // What has the focus keeps its tip, wherever the pointer rests.
  function leave() { if (current && current !== document.activeElement) hide(); }

  function seen(mark) { return !mark.classList.contains("off"); }

  function nearest(svg, event) {
    const scale = svg.getScreenCTM();
    let best = null, least = REACH;
    for (const mark of svg.querySelectorAll(".dot[data-tip]")) {
      if (!seen(mark)) continue;
      const x = scale.a * mark.dataset.x + scale.e - event.clientX;
      const y = scale.d * mark.dataset.y + scale.f - event.clientY;
      const away = Math.hypot(x, y);
      if (away <= least) { best = mark; least = away; }
    }
    return best || event.target.closest(".mark[data-tip]");
  }

  addEventListener("scroll", () => { if (current) show(current); }, { passive: true });

  for (const svg of document.querySelectorAll("svg.plot")) {
    const marks = () => [...svg.querySelectorAll(".mark[data-tip]")].filter(seen);
    const entrance = () => {
      const all = marks();
      if (all.length && !all.some(mark => mark.tabIndex === 0)) all[all.length - 1].tabIndex = 0;
    };
    entrance();
    svg.addEventListener("pointermove", event => {
      const mark = nearest(svg, event);
      if (mark) show(mark); else leave();
    });
    svg.addEventListener("pointerleave", leave);
    svg.addEventListener("focusin", event => {
      if (event.target.matches(".mark[data-tip]")) show(event.target);
    });
    svg.addEventListener("focusout", hide);
    svg.addEventListener("keydown", event => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") hide();
      if (!step) return;
      event.preventDefault();
      const all = marks(), here = all.indexOf(document.activeElement);
      const next = all[(here + step + all.length) % all.length];
      for (const mark of all) mark.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    });
    svg.addEventListener("series", entrance);
  }

  for (const button of document.querySelectorAll("button[data-toggles]")) {
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      const figure = button.closest("figure");
      button.setAttribute("aria-pressed", String(on));
      for (const shape of figure.querySelectorAll(`svg.plot [data-series="${button.dataset.toggles}"]`)) {
        shape.classList.toggle("off", !on);
        if (!on && shape.hasAttribute("tabindex")) shape.tabIndex = -1;
      }
      figure.querySelector("svg.plot").dispatchEvent(new Event("series"));
    });
  }
})();
"""

STYLE = """
:root { color-scheme: light; --ink: #1a1a1a; --muted: #595959; --rule: #dcdcdc; --accent: #0072b2; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: var(--ink); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto,
  "Helvetica Neue", Arial, "Liberation Sans", sans-serif; font-variant-numeric: tabular-nums; }
main { max-width: 1124px; margin: 0 auto; padding: 40px 32px 64px; }
h1 { font-size: 32px; line-height: 1.2; letter-spacing: -0.01em; margin: 0 0 6px; overflow-wrap: anywhere; }
h2 { font-size: 21px; line-height: 1.3; margin: 56px 0 4px; padding-top: 14px; border-top: 1px solid var(--rule);
  overflow-wrap: anywhere; }
h3 { font-size: 16px; margin: 28px 0 2px; overflow-wrap: anywhere; }
p { margin: 4px 0 12px; max-width: 78ch; }
.lead, figcaption, .note { color: var(--muted); }
.lead { margin: 0 0 4px; }
figcaption, .note { font-size: 14px; max-width: 90ch; }
.facts { display: flex; flex-wrap: wrap; gap: 12px 44px; margin: 26px 0 0; }
.facts div { min-width: 96px; }
.facts dt { font-size: 13px; color: var(--muted); }
.facts dd { margin: 0; font-size: 24px; line-height: 1.25; font-weight: 600; }
figure { margin: 8px 0 0; }
.pair > * { margin: 0; min-width: 0; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); gap: 8px 24px; }
svg.plot { display: block; width: 100%; height: auto; font-family: inherit; }
svg.plot text { font-family: inherit; font-variant-numeric: tabular-nums; }
svg.plot text.name { paint-order: stroke; stroke: #fff; stroke-width: 3px; stroke-linejoin: round; }
svg.plot :not(.mark) { pointer-events: none; }
.mark[data-tip] { cursor: default; outline: none; }
.mark.pointed { stroke: #000; stroke-width: 2; opacity: 1; }
.off { display: none; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 6px; margin: 8px 0; padding: 0; list-style: none; }
.legend button { display: inline-flex; align-items: center; gap: 7px; font: inherit; font-size: 14px; line-height: 1.3;
  color: inherit; background: #fff; border: 1px solid var(--rule); border-radius: 6px; padding: 3px 10px 3px 8px;
  cursor: pointer; text-align: left; }
.legend button:hover { border-color: #8a8a8a; }
.legend button[aria-pressed="false"] { color: #767676; text-decoration: line-through; background: #f4f4f4; }
.legend button[aria-pressed="false"] svg { opacity: 0.3; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
details { margin: 6px 0 0; font-size: 14px; }
summary { cursor: pointer; color: var(--accent); width: fit-content; }
.scroll, .across { overflow-x: auto; }
.across { overflow-y: hidden; }
details .scroll { max-height: 380px; overflow: auto; border: 1px solid var(--rule); margin-top: 8px; }
table { border-collapse: collapse; font-size: 14px; line-height: 1.4; min-width: min(100%, 420px); }
th, td { padding: 5px 14px 5px 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--rule);
  overflow-wrap: break-word; }
details th, details td { padding-left: 10px; }
td { max-width: 56ch; }
thead th { font-weight: 600; border-bottom-color: #8a8a8a; white-space: nowrap; }
details thead th { position: sticky; top: 0; background: #fff; }
.number { text-align: right; white-space: nowrap; }
tbody th { font-weight: 500; }
.empty { color: var(--muted); font-style: italic; padding: 10px 14px; border-left: 3px solid var(--rule); }
#tip { position: fixed; z-index: 9; pointer-events: none; display: flex; flex-direction: column; max-width: 380px;
  background: #1a1a1a; color: #fff; font-size: 13px; line-height: 1.4; padding: 7px 11px; border-radius: 6px;
  overflow-wrap: anywhere; }
#tip[hidden] { display: none; }
footer { margin-top: 56px; padding-top: 12px; border-top: 1px solid var(--rule); font-size: 13px; color: var(--muted); }
@media print { main { padding: 0; } .legend button { border: 0; } details:not([open]) { display: none; }
  figure { break-inside: avoid; } }
@media (max-width: 640px) { main { padding: 20px 14px 40px; } h1 { font-size: 25px; } }
"""
