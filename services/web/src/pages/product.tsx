import { useState } from 'react'
import { api } from '../api'
import { Art } from '../art'
import { capital, formatMoney } from '../format'
import { Link, Nothing, Page } from '../router'
import { Quantity, useLoaded, Waiting } from '../ui'
import { AddButton, Products, Stock } from './catalogue'

export function ProductPage({ id }: { id: string }) {
  const [quantity, setQuantity] = useState(1)
  const loaded = useLoaded((signal) => api.product(id, signal), [id])
  const together = useLoaded((signal) => api.together(id, signal), [id])
  if (loaded.problem?.status === 404) {
    return <Nothing />
  }
  return (
    <Waiting of={loaded}>
      {(product) => (
        <>
          <nav className="crumbs" aria-label="Where you are">
            <Link to="/">All products</Link>
            <span aria-hidden="true">/</span>
            <Link to={'/?category=' + encodeURIComponent(product.category)}>{capital(product.category)}</Link>
          </nav>
          <div className="detail">
            <Art of={product} />
            <div>
              <Page title={product.name} lead={product.description}>
                <p className="price large">{formatMoney(product.price)}</p>
                <Stock of={product} />
                <div className="choose">
                  <Quantity of={product.name} value={quantity} onChange={setQuantity} />
                  <AddButton product={product} quantity={quantity} />
                </div>
              </Page>
            </div>
          </div>
          {together.value && together.value.recommendations.length > 0 && (
            <section aria-labelledby="together">
              <h2 id="together" className="section">
                Bought together
              </h2>
              <Products of={together.value.recommendations} />
            </section>
          )}
        </>
      )}
    </Waiting>
  )
}
