import type { ReactNode } from 'react'
import type { Product } from './types'

// The catalogue has no pictures: each product is drawn. Classes are a main colour (a), a
// darker (b) and a lighter one (c), and a line (l).
const drawings: Record<string, ReactNode> = {
  'espresso-cup': (
    <>
      <ellipse className="b" cx="46" cy="74" rx="30" ry="5" />
      <path className="l" d="M64 42h6a8 8 0 0 1 0 16h-8" />
      <path className="a" d="M24 36h42v16a20 20 0 0 1-20 20h-2a20 20 0 0 1-20-20z" />
      <path className="c" d="M24 36h42v5H24z" />
      <path className="l thin" d="M39 28c-4-4 4-7 0-12M51 28c-4-4 4-7 0-12" />
    </>
  ),
  'french-press': (
    <>
      <path className="l" d="M64 40h8v26h-8" />
      <path className="c" d="M28 32h36v46H28z" />
      <path className="a" d="M28 50h36v28H28z" />
      <path className="b" d="M26 28h40v6H26zM26 76h40v5H26z" />
      <path className="l" d="M46 28V14" />
      <circle className="b" cx="46" cy="14" r="4" />
    </>
  ),
  'chef-knife': (
    <g transform="rotate(-38 48 48)">
      <path className="c" d="M8 42h50v16H36C24 58 14 52 8 42z" />
      <path className="a" d="M8 42h50v5H11z" />
      <rect className="b" x="58" y="41" width="32" height="10" rx="4" />
      <circle className="c" cx="66" cy="46" r="1.6" />
      <circle className="c" cx="76" cy="46" r="1.6" />
    </g>
  ),
  'cutting-board': (
    <g transform="rotate(12 48 48)">
      <rect className="a" x="24" y="16" width="48" height="66" rx="8" />
      <path className="b" d="M24 34h48v6H24zM24 58h48v6H24z" />
      <rect className="c" x="40" y="22" width="16" height="5" rx="2.5" />
    </g>
  ),
  'mechanical-keyboard': (
    <>
      <rect className="b" x="8" y="32" width="80" height="36" rx="6" />
      <path className="c" d="M14 38h8v6h-8zM25 38h8v6h-8zM36 38h8v6h-8zM47 38h8v6h-8zM58 38h8v6h-8zM14 47h11v6H14zM28 47h8v6h-8zM39 47h8v6h-8zM50 47h8v6h-8zM61 47h8v6h-8zM14 56h8v6h-8zM25 56h40v6H25zM68 56h14v6H68z" />
      <path className="a" d="M69 38h13v6H69zM72 47h10v6H72z" />
    </>
  ),
  'wireless-mouse': (
    <>
      <rect className="a" x="30" y="16" width="36" height="64" rx="18" />
      <path className="c" d="M30 40V34a18 18 0 0 1 36 0v6z" />
      <path className="l thin" d="M48 16v24M30 40h36" />
      <rect className="b" x="45" y="24" width="6" height="12" rx="3" />
    </>
  ),
  'usb-c-hub': (
    <>
      <path className="l" d="M48 40V26a10 10 0 0 1 10-10h6" />
      <rect className="b" x="62" y="10" width="14" height="12" rx="3" />
      <rect className="a" x="12" y="40" width="72" height="34" rx="8" />
      <path className="c" d="M20 50h14v7H20zM40 50h10v7H40zM56 50h10v7H56z" />
      <circle className="c" cx="75" cy="53.5" r="3" />
      <path className="b" d="M20 64h56v3H20z" />
    </>
  ),
  'noise-headphones': (
    <>
      <path className="l thick" d="M22 58V46a26 26 0 0 1 52 0v12" />
      <rect className="a" x="14" y="50" width="18" height="30" rx="9" />
      <rect className="a" x="64" y="50" width="18" height="30" rx="9" />
      <rect className="b" x="26" y="53" width="7" height="24" rx="3.5" />
      <rect className="b" x="63" y="53" width="7" height="24" rx="3.5" />
    </>
  ),
  'desk-lamp': (
    <>
      <path className="c glow" d="M50 40 32 74h46z" />
      <path className="l" d="M26 76V52l18-22" />
      <path className="a" d="M38 30l22-10 10 18-24 6z" />
      <rect className="b" x="12" y="74" width="30" height="7" rx="3.5" />
      <circle className="b" cx="26" cy="52" r="4" />
    </>
  ),
  'notebook-a5': (
    <g transform="rotate(-8 48 48)">
      <rect className="b" x="25" y="14" width="50" height="68" rx="4" />
      <rect className="a" x="21" y="12" width="50" height="68" rx="4" />
      <rect className="c" x="34" y="24" width="26" height="13" rx="2" />
      <path className="b" d="M62 12h5v68h-5z" />
    </g>
  ),
  'fountain-pen': (
    <g transform="rotate(45 48 48)">
      <rect className="a" x="41" y="6" width="14" height="44" rx="5" />
      <rect className="c" x="41" y="42" width="14" height="5" />
      <path className="b" d="M42 50h12l-2 14h-8z" />
      <path className="c" d="M44 64h8l-4 20z" />
      <path className="l thin" d="M48 66v10" />
    </g>
  ),
  'standing-desk': (
    <>
      <rect className="a" x="8" y="34" width="80" height="8" rx="3" />
      <path className="b" d="M22 42h7v36h-7zM67 42h7v36h-7z" />
      <path className="b" d="M14 76h23v5H14zM59 76h23v5H59z" />
      <rect className="c" x="36" y="12" width="30" height="18" rx="2" />
      <path className="l thin" d="M51 30v4" />
    </>
  ),
  'running-shoes': (
    <>
      <path className="a" d="M12 38c6 4 14 3 18-3l8-1 14 18 24 7c7 2 9 6 9 10H12c-3-12-3-22 0-31z" />
      <path className="b" d="M11 67h75v4a6 6 0 0 1-6 6H17a6 6 0 0 1-6-6z" />
      <path className="l thin" d="M40 42l-7 5M45 48l-7 5M50 54l-7 5" />
      <path className="c" d="M12 52c10 4 22 6 34 15H12z" />
    </>
  ),
  'yoga-mat': (
    <>
      <path className="a" d="M18 62h60a12 12 0 0 0 0-24H42z" />
      <rect className="a" x="18" y="38" width="62" height="40" rx="6" />
      <circle className="b" cx="24" cy="58" r="20" />
      <circle className="c" cx="24" cy="58" r="14" />
      <path className="l thin" d="M24 58a4 4 0 1 1 4 4 9 9 0 1 1 5-8" />
      <path className="b" d="M56 38h6v40h-6z" />
    </>
  ),
  'water-bottle': (
    <>
      <rect className="b" x="39" y="8" width="18" height="12" rx="3" />
      <path className="a" d="M36 22h24c6 4 8 9 8 16v38a8 8 0 0 1-8 8H36a8 8 0 0 1-8-8V38c0-7 2-12 8-16z" />
      <path className="c" d="M28 48h40v14H28z" />
      <path className="l thin" d="M44 8v-2h8v2" />
    </>
  ),
  'climbing-rope': (
    <>
      <circle className="ring" cx="48" cy="50" r="28" />
      <circle className="ring second" cx="48" cy="50" r="20" />
      <path className="b" d="M38 16h20v16H38z" />
      <path className="l" d="M58 24h10l6-10" />
    </>
  ),
}

const box = (
  <>
    <path className="a" d="M14 34l34-14 34 14v36L48 84 14 70z" />
    <path className="c" d="M14 34l34-14 34 14-34 14z" />
    <path className="b" d="M48 48l34-14v36L48 84z" />
  </>
)

const tones = new Set(['kitchen', 'electronics', 'office', 'sport'])

export function Art({ of }: { of: Pick<Product, 'productId'> & { category?: string } }) {
  const tone = of.category && tones.has(of.category) ? of.category : 'other'
  return (
    <div className={'art ' + tone} aria-hidden="true">
      <svg viewBox="0 0 96 96" focusable="false">
        {drawings[of.productId] ?? box}
      </svg>
    </div>
  )
}
