import { api, Problem } from '../api'
import { Link, navigate, Page } from '../router'
import { begin, ended } from '../session'
import { Field, Form, useKey, useSubmission } from '../ui'

export function SignIn({ next }: { next: string }) {
  const over = ended.use()
  const submission = useSubmission(async (field) => {
    const answer = await api.login({ email: field('email'), password: field('password') }).catch((error: unknown) => {
      throw error instanceof Problem && error.status === 401 ? new Problem(401, 'The email address or the password is wrong.') : error
    })
    begin(answer.userId, answer.token)
    navigate(next, 'replace')
  })
  return (
    <Page title="Sign in">
      <div className="narrow card">
        {over && <p className="note">Your session has ended. Sign in to go on; your basket is still here.</p>}
        <Form of={submission} label="Sign in" action="Sign in">
          <Field label="Email address" name="email" type="email" autoComplete="username" of={submission} />
          <Field label="Password" name="password" type="password" autoComplete="current-password" of={submission} />
        </Form>
        <p className="aside">
          New here? <Link to={'/sign-up?next=' + encodeURIComponent(next)}>Make an account</Link>
        </p>
      </div>
    </Page>
  )
}

export function SignUp({ next }: { next: string }) {
  const withKey = useKey()
  const submission = useSubmission(async (field) => {
    const body = { email: field('email'), password: field('password'), firstName: field('firstName'), lastName: field('lastName') }
    const answer = await withKey((key) => api.register(body, key))
    begin(answer.userId, answer.token)
    navigate(next, 'replace')
  })
  return (
    <Page title="Make an account">
      <div className="narrow card">
        <Form of={submission} label="Make an account" action="Make an account">
          <div className="pair">
            <Field label="First name" name="firstName" autoComplete="given-name" maxLength={100} of={submission} />
            <Field label="Last name" name="lastName" autoComplete="family-name" maxLength={100} of={submission} />
          </div>
          <Field label="Email address" name="email" type="email" autoComplete="username" of={submission} />
          <Field label="Password" name="password" type="password" autoComplete="new-password" minLength={8} maxLength={256} hint="At least 8 characters, and none that everybody takes." of={submission} />
        </Form>
        <p className="aside">
          You have one? <Link to={'/sign-in?next=' + encodeURIComponent(next)}>Sign in</Link>
        </p>
      </div>
    </Page>
  )
}
