package userpb_test

import (
	"context"
	"testing"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"

	userpb "github.com/tendhq/tend/services/proto/user"
)

func TestTheGeneratedCodeIsOfThisProto(t *testing.T) {
	compiler := protocompile.Compiler{Resolver: &protocompile.SourceResolver{ImportPaths: []string{".."}}}
	files, err := compiler.Compile(context.Background(), "user/user.proto")
	if err != nil {
		t.Fatal(err)
	}
	want, got := protodesc.ToFileDescriptorProto(files[0]), protodesc.ToFileDescriptorProto(userpb.File_user_user_proto)
	if !proto.Equal(want, got) {
		t.Errorf("user.proto was changed; run make proto\ngenerated: %v\nwritten: %v", got, want)
	}
}
