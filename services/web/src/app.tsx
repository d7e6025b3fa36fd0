import { Component, type FormEvent, type ReactNode } from 'react'
import { basket, count } from './basket'
import { Basket } from './pages/basket'
import { Catalogue } from './pages/catalogue'
import { Checkout } from './pages/checkout'
import { Order } from './pages/order'
import { Orders } from './pages/orders'
import { ProductPage } from './pages/product'
import { Profile } from './pages/profile'
import { SignIn, SignUp } from './pages/sign'
import { Stock } from './pages/stock'
import { Link, navigate, Nothing, Page, place, Redirect } from './router'
import { end, session, type Session } from './session'
import { Alert, announce, Announcements } from './ui'

export function App() {
  const url = new URL(place.use(), window.location.origin)
  return (
    <>
      <a className="skip" href="#main">
        Skip to the content
      </a>
      <Header key={url.searchParams.get('search')} search={url.searchParams.get('search') ?? ''} path={url.pathname} />
      <main id="main" tabIndex={-1}>
        <Guard key={url.pathname}>
          <Shown url={url} />
        </Guard>
      </main>
      <footer>
        <p>A worked example: the shop that tend keeps running. Nothing is sold here, and no money moves.</p>
      </footer>
      <Announcements />
    </>
  )
}

// Shown is the page of an address. web.go knows the same addresses.
function Shown({ url }: { url: URL }) {
  const who = session.use()
  const parts = url.pathname.slice(1).split('/')
  const signedIn = (page: (who: Session) => ReactNode) => (who ? page(who) : <Redirect to={'/sign-in?next=' + encodeURIComponent(url.pathname)} />)
  if (parts.length === 2 && parts[1]) {
    const id = decodeURIComponent(parts[1])
    switch (parts[0]) {
      case 'products':
        return <ProductPage id={id} />
      case 'orders':
        return signedIn(() => <Order id={id} />)
    }
  } else if (parts.length === 1) {
    switch (parts[0]) {
      case '':
        return <Catalogue query={url.searchParams} />
      case 'basket':
        return <Basket />
      case 'checkout':
        return signedIn(() => <Checkout />)
      case 'orders':
        return signedIn(() => <Orders page={Number(url.searchParams.get('page') ?? 1)} />)
      case 'profile':
        return signedIn(() => <Profile />)
      case 'sign-in':
        return <SignIn next={next(url)} />
      case 'sign-up':
        return <SignUp next={next(url)} />
      case 'stock':
        return signedIn((who) => (who.admin ? <Stock /> : <Page title="Stock"><Alert>This takes an administrator.</Alert></Page>))
    }
  }
  return <Nothing />
}

// next is where somebody goes on after signing in: a place of the shop and nowhere else.
function next(url: URL): string {
  const to = url.searchParams.get('next') ?? '/'
  return /^\/(?![/\\])/.test(to) ? to : '/'
}

function Header({ search, path }: { search: string; path: string }) {
  const who = session.use()
  const items = count(basket.use())
  const current = (to: string) => (path === to ? ('page' as const) : undefined)
  const find = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const text = String(new FormData(event.currentTarget).get('search') ?? '').trim()
    navigate(text ? '/?search=' + encodeURIComponent(text) : '/')
  }
  const leave = () => {
    end()
    announce('You are signed out.')
    navigate('/')
  }
  return (
    <header className="top">
      <Link to="/" className="brand">
        <svg viewBox="0 0 32 32" aria-hidden="true" focusable="false">
          <path d="M9 13h14l-1.2 11H10.2zM12.5 13v-2a3.5 3.5 0 0 1 7 0v2" />
        </svg>
        <span className="word">Shop</span>
      </Link>
      <form role="search" className="search" onSubmit={find}>
        <label htmlFor="search" className="unseen">
          Search the shop
        </label>
        <input id="search" name="search" type="search" placeholder="Search" defaultValue={search} maxLength={100} autoComplete="off" />
        <button className="button" aria-label="Search">
          <svg viewBox="0 0 24 24" aria-hidden="true" focusable="false">
            <path d="M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16 16l5 5" />
          </svg>
        </button>
      </form>
      <nav aria-label="You and your basket">
        {who?.admin && (
          <Link to="/stock" aria-current={current('/stock')}>
            Stock
          </Link>
        )}
        {who ? (
          <>
            <Link to="/orders" aria-current={current('/orders')}>
              Orders
            </Link>
            <Link to="/profile" aria-current={current('/profile')}>
              Profile
            </Link>
            <button type="button" className="link" onClick={leave}>
              Sign out
            </button>
          </>
        ) : (
          <Link to="/sign-in" aria-current={current('/sign-in')}>
            Sign in
          </Link>
        )}
        <Link to="/basket" className="to-basket" aria-current={current('/basket')}>
          Basket <span className="count">{items}</span>
          <span className="unseen">{items === 1 ? ' item' : ' items'}</span>
        </Link>
      </nav>
    </header>
  )
}

// Guard shows that a page is broken, in place of nothing.
class Guard extends Component<{ children: ReactNode }, { broken: boolean }> {
  override state = { broken: false }

  static getDerivedStateFromError() {
    return { broken: true }
  }

  override render() {
    return this.state.broken ? <Alert>Something went wrong with this page. Reload it to try again.</Alert> : this.props.children
  }
}
