// Screenshots of a report and axe-core's findings: node look.js PAGE FOLDER CHROMIUM
// See scripts/look, which calls it.
const path = require("path");
const puppeteer = require("puppeteer-core");
const axe = require.resolve("axe-core");

const LOOKS = [
  { name: "light", width: 1200, scheme: "light" },
  { name: "dark", width: 1200, scheme: "dark" },
  { name: "phone", width: 390, scheme: "light" },
  { name: "phone-dark", width: 390, scheme: "dark" },
  { name: "print", width: 800, scheme: "light", media: "print" },
];

async function main(file, folder, chromium) {
  const browser = await puppeteer.launch({
    executablePath: chromium,
    args: ["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND"],
  });
  let serious = 0;
  try {
    for (const look of LOOKS) {
      const page = await browser.newPage();
      const asked = [];
      page.on("request", (request) => asked.push(request.url()));
      await page.setViewport({ width: look.width, height: 900, deviceScaleFactor: 1 });
      await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: look.scheme }]);
      if (look.media) await page.emulateMediaType(look.media);
      await page.goto("file://" + path.resolve(file));
      await page.screenshot({ path: path.join(folder, look.name + ".png"), fullPage: true });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
      await page.addScriptTag({ path: axe });
      const found = await page.evaluate(() => axe.run());
      const bad = found.violations.filter((v) => ["serious", "critical"].includes(v.impact));
      serious += bad.length + (wide ? 1 : 0) + (asked.length > 1 ? 1 : 0);
      console.log(`${look.name}: ${bad.length} serious of ${found.violations.length} findings, ${found.passes.length} rules passed` +
        (wide ? ", wider than its screen" : "") + (asked.length > 1 ? `, asks for ${asked.slice(1)}` : ""));
      for (const one of found.violations) console.log(`  ${one.impact} ${one.id}: ${one.nodes[0].html.slice(0, 160)}`);
      await page.close();
    }
  } finally {
    await browser.close();
  }
  process.exitCode = serious ? 1 : 0;
}

main(...process.argv.slice(2));
