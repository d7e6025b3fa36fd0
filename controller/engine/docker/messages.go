package docker

import (
	"encoding/json"
	"errors"
	"io"
)

// readMessages calls a function with each message of an answer that is a stream of them,
// and returns the failure that one of them tells: the engine has answered 200 by then.
func readMessages[M any](body io.Reader, each func(M)) error {
	messages := json.NewDecoder(body)
	for {
		var raw json.RawMessage
		switch err := messages.Decode(&raw); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		var failed struct {
			Error string `json:"error"`
		}
		var m M
		if err := errors.Join(json.Unmarshal(raw, &failed), json.Unmarshal(raw, &m)); err != nil {
			return err
		}
		if failed.Error != "" {
			return errors.New(failed.Error)
		}
		each(m)
	}
}
