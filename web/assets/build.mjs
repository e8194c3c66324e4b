// Bundles scripts and styles into web/static/dist, names carrying a hash of their content, and writes manifest.json
// (plain name → hashed name) for the pages. Run by `make` and by the wheel's build: npm ci --ignore-scripts && node build.mjs
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "..", "static", "dist");
const fresh = `${dist}.new`;

rmSync(fresh, { recursive: true, force: true });
mkdirSync(fresh, { recursive: true });

const { metafile } = await build({
  absWorkingDir: here,
  entryPoints: ["src/app.js", "src/plot.js", "src/player.js", "src/week.js", "src/app.css"],
  outdir: fresh,
  entryNames: "[name]-[hash]",
  assetNames: "[name]-[hash]",
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2020",
  loader: { ".woff2": "file" },
  legalComments: "none",
  metafile: true,
  logLevel: "warning",
});

const manifest = {};
for (const [path, output] of Object.entries(metafile.outputs)) {
  if (!output.entryPoint) continue;
  const plain = basename(output.entryPoint);
  if (path.endsWith(plain.slice(plain.lastIndexOf(".")))) manifest[plain] = basename(path);
}

// hls.js as its own classic script: the player page and old televisions load the same file.
const hls = readFileSync(join(here, "node_modules/hls.js/dist/hls.min.js"), "utf8").replace(/^\/\/# sourceMappingURL=.*$/m, "");
const hash = createHash("sha256").update(hls).digest("hex").slice(0, 8).toUpperCase();
manifest["hls.min.js"] = `hls.min-${hash}.js`;
writeFileSync(join(fresh, manifest["hls.min.js"]), hls);

// What is bundled goes along with its licences.
const { dependencies } = JSON.parse(readFileSync(join(here, "package.json"), "utf8"));
const licences = Object.entries(dependencies).map(([name, version]) => {
  const folder = join(here, "node_modules", name);
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  return `${name} ${version}\n\n${readFileSync(join(folder, file), "utf8").trim()}\n`;
});
writeFileSync(join(fresh, "LICENCES.txt"), licences.join(`\n${"-".repeat(80)}\n\n`));

writeFileSync(join(fresh, "manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`);
rmSync(dist, { recursive: true, force: true });
renameSync(fresh, dist);
