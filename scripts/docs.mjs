// README.md and docs/ show code and measurements of other files. `npm run docs` copies them in again; test/unit/docs.spec.ts
// holds that they are the same. A marker stands above each copy:
//   <!-- file: sample/recipes/x.ts -->         the whole file, as a block of code
//   <!-- file: sample/recipes/x.ts#name -->    what stands between `// #region name` and `// #endregion name`
//   <!-- file: bench/results/x.md --> … <!-- end -->    the whole file, as it is
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');

/** README.md and every page of docs/, as paths from the root. */
export function pages() {
  const docs = readdirSync(join(ROOT, 'docs')).filter((name) => name.endsWith('.md'));
  return ['README.md', ...docs.toSorted().map((name) => `docs/${name}`)];
}

/** The text of a file, by its path from the root. @param {string} path */
export function read(path) {
  return readFileSync(join(ROOT, path), 'utf8');
}

/** The page with every copy as its file says now. @param {string} page */
export function refreshed(page) {
  return page
    .replaceAll(
      /(<!-- file: (\S+\.ts)(?:#(\S+))? -->\n\n```ts\n)(?:[\s\S]*?\n)??```/g,
      (_, head, path, region) => `${head}${code(path, region)}\n\`\`\``,
    )
    .replaceAll(
      /(<!-- file: (\S+\.md) -->\n\n)(?:[\s\S]*?\n\n)??<!-- end -->/g,
      (_, head, path) => `${head}${read(path).trim()}\n\n<!-- end -->`,
    );
}

/**
 * @param {string} path
 * @param {string | undefined} region
 */
function code(path, region) {
  const text = read(path);
  if (region === undefined) return text.trim();
  const found = new RegExp(`// #region ${region}\n([\\s\\S]*?)\n[^\n]*// #endregion ${region}\n`).exec(text)?.[1];
  if (found === undefined) throw new Error(`${path} has no region "${region}"`);
  const lines = found.split('\n');
  const indent = Math.min(...lines.filter((line) => line.trim() !== '').map((line) => line.search(/\S/)));
  return lines.map((line) => line.slice(indent)).join('\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const path of pages()) writeFileSync(join(ROOT, path), refreshed(read(path)));
}
