import { api } from '../api'
import { Art } from '../art'
import { add } from '../basket'
import { capital, formatMoney } from '../format'
import { Link, Page } from '../router'
import type { Product } from '../types'
import { announce, Pages, useLoaded, Waiting } from '../ui'

// categories are those of all products; they are asked for once.
let categories: Promise<string[]> | undefined

function loadCategories(): Promise<string[]> {
  categories ??= api.products({ limit: 100 }).then((all) => [...new Set(all.products.map((product) => product.category))].sort())
  categories.catch(() => (categories = undefined))
  return categories
}

export function Catalogue({ query }: { query: URLSearchParams }) {
  const category = query.get('category') ?? ''
  const search = query.get('search') ?? ''
  const page = Math.max(1, Number(query.get('page')) || 1)
  const found = useLoaded((signal) => api.products({ category, search, page, limit: 12 }, signal), [category, search, page])
  const known = useLoaded(loadCategories, [])
  const title = search ? `Results for “${search}”` : category ? capital(category) : 'Good things for every day'
  const to = (next: { category?: string; page?: number }) => {
    const parameters = new URLSearchParams()
    if (next.category ?? category) parameters.set('category', next.category ?? category)
    if (search) parameters.set('search', search)
    if (next.page && next.page > 1) parameters.set('page', String(next.page))
    return '/?' + parameters.toString()
  }
  return (
    <Page key={title} title={title} lead={search || category ? undefined : 'Made to last, for kitchen, desk and sport.'}>
      <nav className="categories" aria-label="Categories">
        <Link to={search ? '/?search=' + encodeURIComponent(search) : '/'} aria-current={category === '' ? 'page' : undefined}>
          All
        </Link>
        {known.value?.map((name) => (
          <Link key={name} to={to({ category: name })} aria-current={category === name ? 'page' : undefined}>
            {capital(name)}
          </Link>
        ))}
      </nav>
      <Waiting of={found}>
        {(list) => (
          <>
            <p className="found" role="status">
              {list.totalCount === 0 ? 'Nothing was found. Try another word.' : list.totalCount === 1 ? '1 product' : `${list.totalCount} products`}
            </p>
            <Products of={list.products} />
            <Pages page={page} total={list.totalPages} to={(n) => <Link to={to({ page: n })}>{n < page ? 'Previous' : 'Next'}</Link>} />
          </>
        )}
      </Waiting>
    </Page>
  )
}

export function Products({ of }: { of: Product[] }) {
  return (
    <ul className="products">
      {of.map((product) => (
        <li key={product.productId} className="product">
          <Art of={product} />
          <div className="about">
            <h2>
              <Link to={'/products/' + product.productId}>{product.name}</Link>
            </h2>
            <p className="dim">{product.description}</p>
          </div>
          <div className="buy">
            <span className="price">{formatMoney(product.price)}</span>
            <AddButton product={product} quantity={1} short />
          </div>
          <Stock of={product} />
        </li>
      ))}
    </ul>
  )
}

export function Stock({ of }: { of: Product }) {
  if (of.inventory === 0) {
    return <p className="stock none">Sold out</p>
  }
  return of.inventory <= 20 ? <p className="stock few">Only {of.inventory} left</p> : null
}

export function AddButton({ product, quantity, short }: { product: Product; quantity: number; short?: boolean }) {
  const put = () => {
    add(product.productId, quantity)
    announce(`${product.name} is in your basket.`)
  }
  return (
    <button type="button" className={short ? 'button small' : 'button primary'} disabled={product.inventory === 0} onClick={put}>
      {short ? 'Add' : 'Add to basket'}
      {short && <span className="unseen"> {product.name} to the basket</span>}
    </button>
  )
}
