package state

import (
	"github.com/hashicorp/go-memdb"

	"github.com/tendhq/tend/controller/core"
)

// Images is the table of the local images of each repository whose old images are pruned.
const Images = "images"

var imagesSchema = &memdb.TableSchema{
	Name: Images,
	Indexes: map[string]*memdb.IndexSchema{
		"id": index("id", true, func(i *Image) []string { return []string{i.ID} }),
	},
}

// Image is a row of Images.
type Image struct{ core.LocalImage }

func (i *Image) changeKey() string { return i.ID }

// Images lists the images.
func (s *Snapshot) Images() []*Image { return list[*Image](s, Images, "id") }

// Image returns one image.
func (s *Snapshot) Image(id string) (*Image, bool) { return first[*Image](s, Images, "id", id) }

// PutImage writes what is known of an image.
func (t *Tx) PutImage(i core.LocalImage) { must(t.txn.Insert(Images, &Image{i})) }

// DeleteImage forgets an image.
func (t *Tx) DeleteImage(id string) {
	_, err := t.txn.DeleteAll(Images, "id", id)
	must(err)
}
