// Package mailbox is a mail server for tests and for the example: it takes every mail,
// keeps the last ones in memory, and shows them. It takes webhooks, too.
package mailbox

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/mail"
	"sync"

	"github.com/emersion/go-smtp"
)

const (
	maxMails = 1000
	maxSize  = 64 << 10 // bytes
)

// Mail is a mail that was received.
type Mail struct {
	MessageID string `json:"messageId"`
	To        string `json:"to"`
	Subject   string `json:"subject"`
	Body      string `json:"body"`
}

// Mailbox holds the mails, and is an smtp.Backend. Its methods may be called concurrently.
type Mailbox struct {
	mu        sync.Mutex
	mails     []Mail
	known     map[string]bool
	delivered int
	calls     []json.RawMessage
}

// New returns an empty mailbox.
func New() *Mailbox { return &Mailbox{known: map[string]bool{}} }

// Server returns the server that receives for the mailbox. The caller runs and closes it.
func (m *Mailbox) Server() *smtp.Server {
	s := smtp.NewServer(m)
	s.Domain = "localhost"
	s.MaxMessageBytes = maxSize
	s.MaxRecipients = 1
	return s
}

// Mails returns what was received, oldest first.
func (m *Mailbox) Mails() []Mail {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]Mail{}, m.mails...)
}

// Delivered returns how many mails were received, with those that it had already.
func (m *Mailbox) Delivered() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.delivered
}

// ServeHTTP answers with all mails. A POST to /webhook keeps a JSON body, as
// Alertmanager sends it, and a GET returns the bodies that were kept.
func (m *Mailbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		m.called(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Path == "/webhook" {
		m.mu.Lock()
		defer m.mu.Unlock()
		_ = json.NewEncoder(w).Encode(append([]json.RawMessage{}, m.calls...))
		return
	}
	_ = json.NewEncoder(w).Encode(m.Mails())
}

// called keeps the body of a call.
func (m *Mailbox) called(w http.ResponseWriter, r *http.Request) {
	var body json.RawMessage
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxSize)).Decode(&body); err != nil || r.URL.Path != "/webhook" {
		http.Error(w, "POST /webhook takes JSON of 64 KiB at most", http.StatusBadRequest)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls = append(m.calls, body)
	if len(m.calls) > maxMails {
		m.calls = m.calls[1:]
	}
}

// receive keeps a mail unless there is one with its Message-ID: the same mail once more, as
// a sender repeats it who does not know whether it has arrived.
func (m *Mailbox) receive(mail Mail) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.delivered++
	if m.known[mail.MessageID] {
		return
	}
	m.known[mail.MessageID] = true
	m.mails = append(m.mails, mail)
	if len(m.mails) > maxMails {
		delete(m.known, m.mails[0].MessageID)
		m.mails = m.mails[1:]
	}
}

// NewSession implements smtp.Backend.
func (m *Mailbox) NewSession(*smtp.Conn) (smtp.Session, error) { return &session{mailbox: m}, nil }

type session struct {
	mailbox *Mailbox
	to      string
}

func (s *session) Mail(string, *smtp.MailOptions) error { return nil }

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = to
	return nil
}

func (s *session) Data(r io.Reader) error {
	message, err := mail.ReadMessage(r)
	if err != nil {
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: fmt.Sprintf("no mail: %v", err)}
	}
	body, err := io.ReadAll(message.Body)
	if err != nil {
		return err
	}
	s.mailbox.receive(Mail{MessageID: message.Header.Get("Message-ID"), To: s.to, Subject: message.Header.Get("Subject"), Body: string(body)})
	return nil
}

func (s *session) Reset() { s.to = "" }

func (s *session) Logout() error { return nil }
