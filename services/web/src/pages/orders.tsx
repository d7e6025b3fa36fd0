import { api } from '../api'
import { formatDay, formatMoney } from '../format'
import { Link, Page } from '../router'
import { Badge, Pages, useLoaded, Waiting } from '../ui'

export function Orders({ page }: { page: number }) {
  const loaded = useLoaded((signal) => api.orders(page, signal), [page])
  return (
    <Page title="Your orders">
      <Waiting of={loaded}>
        {(list) =>
          list.totalCount === 0 ? (
            <p>
              You have ordered nothing yet. <Link to="/">Look around</Link>.
            </p>
          ) : (
            <>
              <ul className="orders">
                {list.orders.map((order) => (
                  <li key={order.orderId} className="card order">
                    <div>
                      <h2>
                        <Link to={'/orders/' + order.orderId}>Order of {formatDay(order.createdAt)}</Link>
                      </h2>
                      <p className="dim">{order.items.map((item) => `${item.quantity} × ${item.name}`).join(', ')}</p>
                    </div>
                    <Badge status={order.status} />
                    <p className="price">{formatMoney(order.total)}</p>
                  </li>
                ))}
              </ul>
              <Pages page={page} total={list.totalPages} to={(n) => <Link to={'/orders?page=' + n}>{n < page ? 'Newer' : 'Older'}</Link>} />
            </>
          )
        }
      </Waiting>
    </Page>
  )
}
