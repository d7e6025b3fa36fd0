import { api, Problem } from '../api'
import { Art } from '../art'
import { basket, put, type Basket as Items } from '../basket'
import { formatMoney } from '../format'
import { Link, Page } from '../router'
import type { Product } from '../types'
import { announce, Quantity, useLoaded, Waiting } from '../ui'

export interface Line {
  product: Product
  quantity: number
}

// useLines loads what is in the basket. What is no longer sold is taken out of it.
export function useLines() {
  const items = basket.use()
  const ids = Object.keys(items).sort()
  const products = useLoaded(async (signal) => {
    const found = await Promise.all(ids.map((id) => api.product(id, signal).catch((error: unknown) => gone(id, error))))
    return found.filter((product) => product !== undefined)
  }, [ids.join()])
  return { items, products }
}

function gone(id: string, error: unknown): undefined {
  if (!(error instanceof Problem) || error.status !== 404) {
    throw error
  }
  put(id, 0)
}

export function lines(products: Product[], items: Items): Line[] {
  return products.flatMap((product) => {
    const quantity = items[product.productId]
    return quantity ? [{ product, quantity }] : []
  })
}

export function total(of: Line[]): number {
  return of.reduce((sum, { product, quantity }) => sum + Math.round(product.price * 100) * quantity, 0) / 100
}

export function Basket() {
  const { items, products } = useLines()
  if (Object.keys(items).length === 0) {
    return (
      <Page key="empty" title="Your basket is empty">
        <p>
          <Link to="/" className="button primary">
            Look around
          </Link>
        </p>
      </Page>
    )
  }
  const remove = (product: Product) => {
    put(product.productId, 0)
    announce(`${product.name} is out of your basket.`)
  }
  return (
    <Page key="full" title="Your basket">
      <Waiting of={products}>
        {(found) => {
          const all = lines(found, items)
          return (
            <div className="columns">
              <ul className="lines">
                {all.map(({ product, quantity }) => (
                  <li key={product.productId} className="line">
                    <Art of={product} />
                    <div className="about">
                      <h2>
                        <Link to={'/products/' + product.productId}>{product.name}</Link>
                      </h2>
                      <p className="dim">{formatMoney(product.price)} each</p>
                      {product.inventory < quantity && <p className="stock none">{product.inventory === 0 ? 'Sold out' : `Only ${product.inventory} left`}</p>}
                      <div className="choose">
                        <Quantity of={product.name} value={quantity} onChange={(n) => put(product.productId, n)} />
                        <button type="button" className="link" onClick={() => remove(product)}>
                          Remove<span className="unseen"> {product.name}</span>
                        </button>
                      </div>
                    </div>
                    <p className="price">{formatMoney(product.price * quantity)}</p>
                  </li>
                ))}
              </ul>
              <section className="card summary" aria-labelledby="sum">
                <h2 id="sum">Summary</h2>
                <p className="sum">
                  <span>Total</span>
                  <span className="price">{formatMoney(total(all))}</span>
                </p>
                <Link to="/checkout" className="button primary wide">
                  Go to checkout
                </Link>
              </section>
            </div>
          )
        }}
      </Waiting>
    </Page>
  )
}
