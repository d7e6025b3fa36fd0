import { useCallback, useEffect, useId, useRef, useState, type FormEvent, type InputHTMLAttributes, type ReactNode } from 'react'
import { Problem, random } from './api'
import { statusName } from './format'
import { store } from './store'
import type { Status } from './types'

// Loaded is what a page waits for.
export interface Loaded<T> {
  value: T | undefined
  problem: Problem | undefined
  again(): void
}

// useLoaded loads what a page shows, anew when what it depends on changes. What was there
// stays until the new is.
export function useLoaded<T>(load: (signal: AbortSignal) => Promise<T>, on: readonly unknown[]): Loaded<T> {
  const [state, setState] = useState<{ value?: T; problem?: Problem }>({})
  const [round, setRound] = useState(0)
  useEffect(() => {
    const abort = new AbortController()
    load(abort.signal).then(
      (value) => !abort.signal.aborted && setState({ value }),
      (error: unknown) => !abort.signal.aborted && setState({ problem: asProblem(error) }),
    )
    return () => abort.abort()
  }, [...on, round])
  return { value: state.value, problem: state.problem, again: useCallback(() => setRound((n) => n + 1), []) }
}

export function asProblem(error: unknown): Problem {
  return error instanceof Problem ? error : new Problem(0, 'Something went wrong. Try again.')
}

export function Waiting<T>({ of, children }: { of: Loaded<T>; children: (value: T) => ReactNode }) {
  if (of.problem) {
    return (
      <Alert>
        {of.problem.message}{' '}
        {!of.problem.lasting && (
          <button type="button" className="link" onClick={of.again}>
            Try again
          </button>
        )}
      </Alert>
    )
  }
  return of.value === undefined ? (
    <p className="waiting" role="status">
      Loading…
    </p>
  ) : (
    <>{children(of.value)}</>
  )
}

// Alert tells what went wrong, at once.
export function Alert({ children }: { children: ReactNode }) {
  return (
    <p className="alert" role="alert">
      {children}
    </p>
  )
}

const announcement = store('')
let silence: number | undefined

// announce shows a message for a moment, and has it read out.
export function announce(text: string) {
  announcement.set(text)
  clearTimeout(silence)
  silence = window.setTimeout(() => announcement.set(''), 4000)
}

export function Announcements() {
  const text = announcement.use()
  return (
    <div className={text ? 'toast shown' : 'toast'} role="status">
      {text}
    </div>
  )
}

export function Badge({ status }: { status: Status }) {
  return <span className={'badge ' + status}>{statusName[status]}</span>
}

// Submission is the state of a form that was sent.
export interface Submission {
  busy: boolean
  problem: Problem | undefined
  send(event: FormEvent<HTMLFormElement>): void
}

// useSubmission sends a form by what send does with its fields.
export function useSubmission(send: (fields: (name: string) => string, form: HTMLFormElement) => Promise<void>): Submission {
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<Problem>()
  return {
    busy,
    problem,
    send(event) {
      event.preventDefault()
      if (busy) {
        return
      }
      const form = event.currentTarget
      const data = new FormData(form)
      setBusy(true)
      setProblem(undefined)
      send((name) => String(data.get(name) ?? ''), form)
        .catch((error: unknown) => setProblem(asProblem(error)))
        .finally(() => setBusy(false))
    },
  }
}

// useKey gives requests an idempotency key that stays the same until one was answered: who
// sends a form again after none was does nothing twice.
export function useKey(): <T>(send: (key: string) => Promise<T>) => Promise<T> {
  const key = useRef(random())
  return async (send) => {
    try {
      const answer = await send(key.current)
      key.current = random()
      return answer
    } catch (error) {
      if (error instanceof Problem && error.lasting) {
        key.current = random()
      }
      throw error
    }
  }
}

export function Form({ of, label, action, children }: { of: Submission; label: string; action: string; children: ReactNode }) {
  const form = useRef<HTMLFormElement>(null)
  useEffect(() => {
    form.current?.querySelector<HTMLElement>('[aria-invalid=true]')?.focus()
  }, [of.problem])
  const named = Object.keys(of.problem?.fields ?? {}).length > 0
  return (
    <form ref={form} className="form" aria-label={label} onSubmit={of.send}>
      {of.problem && <Alert>{named ? 'Some fields need another look.' : of.problem.message}</Alert>}
      {children}
      <button className="button primary" aria-disabled={of.busy}>
        {of.busy ? 'One moment…' : action}
      </button>
    </form>
  )
}

interface FieldProps extends InputHTMLAttributes<HTMLInputElement> {
  label: string
  name: string
  hint?: string
  of?: Submission
}

// Field is an input with its label, and with what was wrong with it.
export function Field({ label, hint, of, ...input }: FieldProps) {
  const id = useId()
  const wrong = of?.problem?.fields[input.name]
  const about = [hint && id + 'hint', wrong && id + 'wrong'].filter(Boolean).join(' ')
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <input id={id} required aria-invalid={wrong ? true : undefined} aria-describedby={about || undefined} {...input} />
      {hint && (
        <p className="hint" id={id + 'hint'}>
          {hint}
        </p>
      )}
      {wrong && (
        <p className="wrong" id={id + 'wrong'}>
          {label} {wrong}.
        </p>
      )}
    </div>
  )
}

// Quantity is a number with a button on each side.
export function Quantity({ of, value, onChange }: { of: string; value: number; onChange: (value: number) => void }) {
  return (
    <div className="quantity" role="group" aria-label={'Quantity of ' + of}>
      <button type="button" aria-label={'One less of ' + of} disabled={value <= 1} onClick={() => onChange(value - 1)}>
        −
      </button>
      <output aria-live="polite">{value}</output>
      <button type="button" aria-label={'One more of ' + of} disabled={value >= 99} onClick={() => onChange(value + 1)}>
        +
      </button>
    </div>
  )
}

export function Pages({ page, total, to }: { page: number; total: number; to: (page: number) => ReactNode }) {
  if (total < 2) {
    return null
  }
  return (
    <nav className="pages" aria-label="Pages">
      {page > 1 ? to(page - 1) : <span />}
      <span>
        Page {page} of {total}
      </span>
      {page < total ? to(page + 1) : <span />}
    </nav>
  )
}
