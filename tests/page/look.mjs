// Opens pages in one headless Chromium and prints what it saw as JSON. Arguments: a JSON plan, as browser.py writes it.
import { chromium } from "playwright-core";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf-8");
const plan = JSON.parse(process.argv[2]);
const A4 = { format: "A4", margin: { top: "12mm", bottom: "12mm", left: "12mm", right: "12mm" } };

const seen = () => {
  const text = (element) => element.textContent.replace(/\s+/g, " ").trim();
  const all = (selector) => [...document.querySelectorAll(selector)];
  const bottom = (selector) => document.querySelector(selector)?.getBoundingClientRect().bottom ?? 0;
  const outcomes = {};
  for (const row of all(".rows li")) outcomes[row.className] = (outcomes[row.className] ?? 0) + 1;
  return {
    elements: all("*").length,
    title: text(document.querySelector("h1")),
    header: text(document.querySelector("header")),
    headings: all("h1, h2, h3, h4").map((one) => Number(one.tagName[1])),
    facts: Object.fromEntries(all("#facts dl > div").map((one) => [text(one.children[0]), text(one.children[1])])),
    notes: all(".notes li").map(text),
    gates: all(".strip li").map((one) => text(one).replace(/^[^a-z]+/, "")),
    steps: document.querySelector(".steps")?.getAttribute("aria-label") ?? "",
    moves: all("#pictures > .scroll:first-of-type tbody tr").map((row) => [...row.children].map(text)),
    failed_requests: all("#failed-requests tbody tr").map((row) => [...row.children].map(text)),
    pictures: all("figure svg").length,
    failures: all(".failure").map((one) => ({
      message: text(one.querySelector(".message")),
      text: text(one),
      values: [...one.querySelectorAll(".values li")].map(text),
      exchanges: [...one.querySelectorAll("tbody tr")].map((row) => [...row.children].map(text)),
      commands: [...one.querySelectorAll(".command")].map(text),
    })),
    outcomes,
    first_screen: Math.max(bottom(".facts"), bottom(".notes"), bottom(".strip"), bottom(".steps")),
    open: all("details[open]").length,
    ids: all("[id]").map((one) => one.id),
    links: all("a[href]").map((one) => one.getAttribute("href")),
  };
};

const wider = () => {
  const inside = (one) => one.parentElement?.closest(".scroll") || getComputedStyle(one).position === "absolute";
  const wide = [...document.querySelectorAll("body *")].filter((one) => one.getBoundingClientRect().right > innerWidth + 1);
  return {
    page: document.documentElement.scrollWidth,
    elements: wide.filter((one) => !inside(one)).slice(0, 5).map((one) => one.outerHTML.slice(0, 200)),
  };
};

const search = async (page, text) => {
  const begin = performance.now();
  await page.fill("input[type=search]", text);
  const found = await page.evaluate(() => ({
    says: document.querySelector("output").textContent,
    shown: [...document.querySelectorAll(".rows li")].filter((one) => one.checkVisibility()).length,
    height: document.querySelector("#checks").getBoundingClientRect().height, // the layout is complete
  }));
  return { ...found, ms: performance.now() - begin };
};

const rules = async (page, options) => {
  const { violations } = await page.evaluate((how) => window.axe.run(how), { resultTypes: ["violations"], preload: false, ...options });
  return violations.map((one) => `${one.id}: ${one.nodes[0].html.slice(0, 200)}`);
};

const browser = await chromium.launch({
  executablePath: plan.browser,
  args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
});
const found = {};
for (const one of plan.pages) {
  // Offline, and every request is written down: the page's own file is the only one.
  const context = await browser.newContext({ offline: true, viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  const requests = [];
  const messages = [];
  page.on("request", (request) => requests.push(request.url()));
  page.on("console", (message) => messages.push(message.text()));
  page.on("pageerror", (error) => messages.push(String(error)));
  const begin = performance.now();
  await page.goto(one.url);
  const loaded = performance.now() - begin;
  const here = await page.evaluate(seen);
  if (one.axe) {
    await page.evaluate(axe);
    here.light = await rules(page, {});
    await page.emulateMedia({ colorScheme: "dark" });
    here.dark_paper = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    here.dark = await rules(page, { runOnly: ["color-contrast", "link-in-text-block"] });
    await page.emulateMedia({ colorScheme: "light" });
  }
  if (one.pdf) await page.pdf({ path: one.pdf, ...A4 });
  if (one.search) {
    here.searched = await search(page, one.search);
    await search(page, "");
    await page.locator(".strip a").first().click();
    here.opened = await page.evaluate(() => [...document.querySelectorAll("details[open]")].map((gate) => gate.id));
  }
  await page.setViewportSize({ width: 360, height: 740 });
  here.wider = await page.evaluate(wider);
  found[one.name] = { ...here, requests, messages, loaded_ms: loaded };
  await context.close();
}
await browser.close();
console.log(JSON.stringify(found));
