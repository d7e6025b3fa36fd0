package user

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/grpc"

	"github.com/tendhq/tend/services/internal/auth"
	"github.com/tendhq/tend/services/internal/httpx"
	"github.com/tendhq/tend/services/internal/rpc"
	userpb "github.com/tendhq/tend/services/proto/user"
)

// rpcs answers what other services ask of user-service: the calls of user.proto, upon which
// the same rules hold as upon requests.
type rpcs struct {
	userpb.UnimplementedUserServiceServer
	handlers handlers
}

// GetUser returns a user.
func (s rpcs) GetUser(ctx context.Context, r *userpb.GetUserRequest) (*userpb.User, error) {
	id, err := httpx.ParseID(r.GetId())
	if err != nil {
		return nil, errNotFound
	}
	found, ok, err := s.handlers.store.byID(ctx, id, auth.From(ctx))
	return message(found, ok, err)
}

// CreateUser makes a customer.
func (s rpcs) CreateUser(ctx context.Context, r *userpb.CreateUserRequest) (*userpb.User, error) {
	key, err := rpc.IdempotencyKey(ctx)
	if err != nil {
		return nil, err
	}
	first, last := splitName(r.GetName())
	made, _, err := s.handlers.create(ctx, registration{Email: r.GetEmail(), Password: r.GetPassword(), FirstName: first, LastName: last, locale: defaultLocale}, key)
	return message(made, true, err)
}

// UpdateUser changes what is set of a user.
func (s rpcs) UpdateUser(ctx context.Context, r *userpb.UpdateUserRequest) (*userpb.User, error) {
	id, err := httpx.ParseID(r.GetId())
	if err != nil {
		return nil, errNotFound
	}
	var c changes
	if r.Name != nil {
		first, last := splitName(r.GetName())
		c.FirstName, c.LastName = &first, &last
	}
	c.Email = r.Email
	c.normalise()
	if err := c.validate(); err != nil {
		return nil, err
	}
	changed, ok, err := s.handlers.store.update(ctx, id, auth.From(ctx), c)
	return message(changed, ok, err)
}

// DeleteUser removes a user.
func (s rpcs) DeleteUser(ctx context.Context, r *userpb.DeleteUserRequest) (*userpb.Empty, error) {
	id, err := httpx.ParseID(r.GetId())
	if err != nil {
		return nil, errNotFound
	}
	if err := s.handlers.store.remove(ctx, id); err != nil {
		return nil, err
	}
	return &userpb.Empty{}, nil
}

// ListUsers streams a page of the users.
func (s rpcs) ListUsers(r *userpb.ListUsersRequest, stream grpc.ServerStreamingServer[userpb.User]) error {
	page, err := httpx.NewPage(r.GetPage(), r.GetLimit())
	if err != nil {
		return err
	}
	users, err := s.handlers.store.list(stream.Context(), page)
	if err != nil {
		return err
	}
	for _, user := range users {
		if err := stream.Send(user.message()); err != nil {
			return fmt.Errorf("stream users: %w", err)
		}
	}
	return nil
}

// message returns what a call answers of an account, which was found or not.
func message(a account, found bool, err error) (*userpb.User, error) {
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errNotFound
	}
	return a.message(), nil
}

func (a account) message() *userpb.User {
	return &userpb.User{
		Id: a.id.String(), Email: a.email, Name: a.firstName + " " + a.lastName, Role: string(a.role), CreatedAt: a.createdAt.Unix(),
	}
}

// splitName returns the first name, which may have several words, and the last name.
func splitName(name string) (first, last string) {
	name = strings.TrimSpace(name)
	if i := strings.LastIndex(name, " "); i >= 0 {
		return name[:i], name[i+1:]
	}
	return "", name
}
