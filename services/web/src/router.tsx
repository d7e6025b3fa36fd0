import { useEffect, useRef, type AnchorHTMLAttributes, type MouseEvent, type ReactNode } from 'react'
import { store } from './store'

const here = () => window.location.pathname + window.location.search

// place is the path and the query of the page that is shown.
export const place = store(here())

// moved reports whether the page was changed since it was loaded.
let moved = false

window.addEventListener('popstate', () => {
  moved = true
  place.set(here())
})

export function navigate(to: string, how: 'push' | 'replace' = 'push') {
  moved = true
  window.history[how === 'push' ? 'pushState' : 'replaceState'](null, '', to)
  place.set(here())
  window.scrollTo(0, 0)
}

export function Link({ to, onClick, ...rest }: { to: string } & AnchorHTMLAttributes<HTMLAnchorElement>) {
  const follow = (event: MouseEvent<HTMLAnchorElement>) => {
    onClick?.(event)
    // Whoever wants another tab gets one.
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) {
      return
    }
    event.preventDefault()
    navigate(to)
  }
  return <a {...rest} href={to} onClick={follow} />
}

export function Redirect({ to }: { to: string }) {
  useEffect(() => navigate(to, 'replace'), [to])
  return null
}

// Nothing is shown where an address leads to nothing.
export function Nothing() {
  return (
    <Page title="There is nothing here">
      <p>
        The address may be old. <Link to="/">Look at everything we have</Link>.
      </p>
    </Page>
  )
}

// Page is what a place shows. Its heading gets the focus, so that a screen reader tells it.
export function Page({ title, lead, children }: { title: string; lead?: ReactNode; children: ReactNode }) {
  const heading = useRef<HTMLHeadingElement>(null)
  useEffect(() => {
    document.title = title + ' · Shop'
  }, [title])
  useEffect(() => {
    if (moved) {
      heading.current?.focus({ preventScroll: true })
    }
  }, [])
  return (
    <>
      <header className="page-head">
        <h1 ref={heading} tabIndex={-1}>
          {title}
        </h1>
        {lead && <p className="lead">{lead}</p>}
      </header>
      {children}
    </>
  )
}
