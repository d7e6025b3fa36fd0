package notification

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/tendhq/tend/services/internal/config"
	"github.com/tendhq/tend/services/internal/logging"
	"github.com/tendhq/tend/services/internal/postgres"
	"github.com/tendhq/tend/services/internal/tracing"
)

const (
	// sendTimeout is shorter than the database lets a transaction rest.
	sendTimeout  = 2 * time.Second
	lookInterval = 500 * time.Millisecond
)

// message is a mail with its address.
type message struct {
	id            uuid.UUID
	to            string
	subject, body string
	created       time.Time
	// Of the event that it tells of.
	correlationID, traceparent string
}

// relay is the mail server that takes all mail, on a network of the project's own.
type relay struct {
	host string
	port int
	from *mail.Address
}

// relayFromEnv reads SMTP_HOST, SMTP_PORT and MAIL_FROM.
func relayFromEnv(env *config.Env) relay {
	r := relay{host: env.Required("SMTP_HOST"), port: env.Port("SMTP_PORT", 25)}
	address := env.String("MAIL_FROM", "shop@example.com")
	var err error
	if r.from, err = mail.ParseAddress(address); err != nil {
		env.Fail("MAIL_FROM is %q, want an address such as shop@example.com", address)
	}
	return r
}

// send returns when the server has taken the mail.
func (r relay) send(ctx context.Context, m message) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(r.host, strconv.Itoa(r.port)))
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	client, err := smtp.NewClient(conn, r.host)
	if err != nil {
		return err
	}
	if err := client.Mail(r.from.Address); err != nil {
		return err
	}
	if err := client.Rcpt(m.to); err != nil {
		return err
	}
	w, err := client.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(r.format(m)); err != nil {
		return err
	}
	// From here on the server has the mail, whatever becomes of the farewell.
	if err := w.Close(); err != nil {
		return err
	}
	_ = client.Quit()
	return nil
}

// format returns the mail as RFC 5322 has it. Its Message-ID has the id of the event, so that
// one that is sent again after a crash is the same mail, which servers may drop.
func (r relay) format(m message) []byte {
	_, domain, _ := strings.Cut(r.from.Address, "@")
	return fmt.Appendf(nil, "Message-ID: <%s@%s>\r\nDate: %s\r\nFrom: %s\r\nTo: %s\r\nSubject: %s\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n%s\r\n",
		m.id, domain, m.created.UTC().Format(time.RFC1123Z), r.from, &mail.Address{Address: m.to}, m.subject, m.body)
}

// sender sends the mails that wait. Several replicas may do so at once.
type sender struct {
	db     *postgres.DB
	relay  relay
	traces trace.TracerProvider
	log    *zap.Logger
}

func (s sender) run(ctx context.Context) {
	for ctx.Err() == nil {
		sent, err := s.sendOne(ctx)
		if err != nil && ctx.Err() == nil {
			s.log.Warn("a mail is not sent yet", zap.Error(err))
		}
		if sent {
			continue
		}
		select {
		case <-time.After(lookInterval):
		case <-ctx.Done():
		}
	}
}

// sendOne sends a mail and notes that it is sent. A crash between the two sends it again,
// with the same Message-ID.
func (s sender) sendOne(ctx context.Context) (sent bool, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		var m message
		err := tx.QueryRow(ctx,
			`SELECT mail_id, email, subject, body, created_at, correlation_id, traceparent FROM mails JOIN contacts USING (user_id)
			WHERE sent_at IS NULL AND refusal IS NULL AND next_attempt <= now()
			ORDER BY next_attempt LIMIT 1 FOR UPDATE OF mails SKIP LOCKED`).Scan(&m.id, &m.to, &m.subject, &m.body, &m.created, &m.correlationID, &m.traceparent)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		sent, err = s.attempt(ctx, tx, m)
		return err
	})
	return sent, err
}

// attempt sends a mail, and notes what has come of it.
func (s sender) attempt(ctx context.Context, tx pgx.Tx, m message) (sent bool, err error) {
	ctx, span := tracing.Continue(ctx, s.traces, m.traceparent, "send mail", trace.SpanKindClient)
	ctx = logging.NewContext(ctx, s.log, logging.IDs{RequestID: m.id.String(), CorrelationID: m.correlationID})
	log := logging.From(ctx)
	failure := s.relay.send(ctx, m)
	defer func() { tracing.End(span, errors.Join(failure, err)) }()
	var answer *textproto.Error
	switch {
	case failure == nil:
		log.Info("a mail is sent")
		_, err = tx.Exec(ctx, `UPDATE mails SET sent_at = now() WHERE mail_id = $1`, m.id)
		return true, err
	case errors.As(failure, &answer) && answer.Code >= 500:
		log.Error("a mail is refused", zap.Error(failure))
		_, err = tx.Exec(ctx, `UPDATE mails SET refusal = $2 WHERE mail_id = $1`, m.id, answer.Error())
	default:
		log.Warn("a mail waits", zap.Error(failure))
		// Others go first; at most 5 minutes pass.
		_, err = tx.Exec(ctx,
			`UPDATE mails SET attempts = attempts + 1, next_attempt = clock_timestamp() + least(2 ^ attempts, 300) * interval '1 second' WHERE mail_id = $1`, m.id)
	}
	return false, err
}
