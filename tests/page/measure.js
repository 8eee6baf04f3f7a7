// SPDX-License-Identifier: MIT OR Apache-2.0
// Measures each frame of this document and writes what it found as JSON.
"use strict";

function isSeen(element) {
  return element.getClientRects().length > 0;
}

function overlap(a, b) {
  // Boxes of lines of text touch; only a pixel in both directions hides anything.
  return Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
    Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
}

function drawings(page) {
  const found = { overlaps: [], cut: [], drawings: 0, undescribed: 0, smallest_text_px: 1000 };
  for (const svg of page.querySelectorAll("svg")) {
    const says = (name) => (svg.querySelector(":scope>" + name)?.textContent ?? "").trim();
    if (!says("title") || !says("desc")) found.undescribed += 1;
    if (!isSeen(svg)) continue;
    found.drawings += 1;
    const box = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll("text")].map((text) => [text.textContent, text.getBoundingClientRect()]);
    texts.forEach(([text, rect], at) => {
      found.smallest_text_px = Math.min(found.smallest_text_px, Math.round(rect.height));
      if (rect.left < box.left - 1 || rect.right > box.right + 1 || rect.top < box.top - 1 || rect.bottom > box.bottom + 1) {
        found.cut.push(text);
      }
      for (const [other, where] of texts.slice(at + 1)) {
        if (overlap(rect, where)) found.overlaps.push(`${text} / ${other}`);
      }
    });
  }
  return found;
}

function stickingOut(page, width) {
  const bodies = [...page.body.querySelectorAll("*")];
  const isFree = (element) => isSeen(element) && !element.closest(".scroll,pre,svg,.skip") &&
    getComputedStyle(element).clipPath === "none" && !element.closest("thead");
  return bodies.filter((element) => isFree(element) && element.getBoundingClientRect().right > width + 0.5)
    .map((element) => element.tagName);
}

function measure(frame) {
  const page = frame.contentDocument;
  const width = frame.clientWidth;
  const text = (selector) => (page.querySelector(selector)?.textContent ?? "").trim();
  return {
    width,
    title: text("h1#verdict"),
    verdict: text(".verdict .code code"),
    is_coloured: getComputedStyle(page.querySelector(".verdict") ?? page.body).backgroundColor !== "rgba(0, 0, 0, 0)",
    document_title: page.title,
    overflow_px: page.documentElement.scrollWidth - page.documentElement.clientWidth,
    sticking_out: stickingOut(page, width),
    ...drawings(page),
    resources: frame.contentWindow.performance.getEntriesByType("resource").length,
    scripts: page.scripts.length,
  };
}

window.addEventListener("load", () => {
  const all = [...document.querySelectorAll("iframe")].map(measure);
  document.getElementById("out").textContent = JSON.stringify(all);
});
