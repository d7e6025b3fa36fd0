// Builds dist from src. `make web` runs it in a copy of this folder that has node_modules.
import { createHash } from 'node:crypto'
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import { build } from 'esbuild'

rmSync('dist', { recursive: true, force: true })
const { metafile } = await build({
  entryPoints: { app: 'src/main.tsx', style: 'src/style.css', icon: 'src/icon.svg' },
  entryNames: '[name]-[hash]',
  outdir: 'dist/assets',
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  jsx: 'automatic',
  loader: { '.svg': 'copy' },
  define: { 'process.env.NODE_ENV': '"production"' },
  legalComments: 'inline',
  metafile: true,
})

let page = readFileSync('src/index.html', 'utf8')
for (const output of Object.keys(metafile.outputs)) {
  const path = output.slice('dist'.length) // such as /assets/app-0123ABCD.js
  const source = { '.js': 'src/main.tsx', '.css': 'src/style.css', '.svg': 'src/icon.svg' }[extname(path)]
  page = page.replace(source, path)
}
writeFileSync('dist/index.html', page)

// What a test compares: dist is of these sources.
const sources = (folder) =>
  readdirSync(folder)
    .map((name) => join(folder, name))
    .flatMap((path) => (statSync(path).isDirectory() ? sources(path) : [path]))
const hash = createHash('sha256')
for (const path of ['build.mjs', 'package.json', 'package-lock.json', 'tsconfig.json', ...sources('src')].sort()) {
  hash.update(path + '\n' + createHash('sha256').update(readFileSync(path)).digest('hex') + '\n')
}
writeFileSync('dist/SOURCES', hash.digest('hex') + '\n')

mkdirSync('testdata', { recursive: true })
copyFileSync('node_modules/axe-core/axe.min.js', 'testdata/axe.min.js')
